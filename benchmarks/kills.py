"""kill -9 at random moments during `ftc quantize`: what is left, and whether the next run succeeds.

python benchmarks/kills.py CHECKPOINT [--kills 20]
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from measuring import FTC, checked

from ftc.artifact import find_artifacts, open_artifact


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    command = [*FTC, "-q", "quantize", str(arguments.checkpoint), "--artifacts", str(folder)]
    whole_s = checked(command).wall_s
    random.seed(0)
    complete, broken, killed = 0, 0, 0
    for _ in range(arguments.kills):
        shutil.rmtree(folder)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(0.2, 1.0) * whole_s)
        killed += process.poll() is None
        process.kill()
        process.wait()
        for artifact in find_artifacts(folder):
            open_artifact(artifact.path, verify=True)
            complete += 1
        if folder.exists():
            strangers = [path for path in folder.iterdir() if not path.name.startswith((".ftc-draft-", "."))]
            broken += len(strangers) - len(find_artifacts(folder))
        checked(command)
    print(
        f"{killed} of {arguments.kills} runs were killed; under final names: {complete} complete artifacts, {broken} "
        f"incomplete ones; {arguments.kills} of {arguments.kills} next runs succeeded"
    )
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
