"""`ftc optimize` on a checkpoint, and what its time went into; with `--kills`, again, killed at random moments."""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--eval", required=True)
    parser.add_argument("--time-budget", default="20m")
    parser.add_argument("--preset", default="balanced")
    parser.add_argument("--max-drop", default="0.01")
    parser.add_argument("--kills", type=int, default=0, help="How often a second search is killed.")
    parser.add_argument("--seed", type=int, default=0, help="Of the moments.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        whole = searched(arguments, Path(place) / "whole", [])
        told(whole)
        if arguments.kills:
            drawn = random.Random(arguments.seed)
            moments = sorted(drawn.uniform(5, whole["seconds"]) for _ in range(arguments.kills))
            killed = searched(arguments, Path(place) / "killed", moments)
            told(killed)
            same = chain_of(killed) == chain_of(whole)
            print(f"killed {arguments.kills} times: {'the same winner' if same else 'ANOTHER winner'}")


def searched(arguments: argparse.Namespace, artifacts: Path, kills_s: list[float]) -> dict[str, Any]:
    """What a search answers that is killed so many seconds after it has begun."""
    command = [sys.executable, "-m", "ftc", "optimize", str(arguments.checkpoint), "--data", arguments.data]
    command += ["--eval", arguments.eval, "--max-drop", arguments.max_drop, "--time-budget", arguments.time_budget]
    command += ["--preset", arguments.preset, "--artifacts", str(artifacts), "--json"]
    over_s = 0.0
    for moment in kills_s:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
        began = time.monotonic()
        while process.poll() is None and time.monotonic() - began < moment - over_s:
            time.sleep(0.1)
        over_s = moment
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def chain_of(answer: dict[str, Any]) -> str:
    """The commands that made the winner, less the time that a training took."""
    won = next((row["key"] for row in answer["rows"] if row["fate"].startswith("won")), "the baseline")
    return " ".join(word for word in won.split() if not word.endswith("s") or not word[:-1].isdigit())


def told(answer: dict[str, Any]) -> None:
    """The winner, and the times."""
    print(f"{chain_of(answer)}\n  {answer['reason']}")
    between_s = answer["seconds"] - answer["building_s"] - answer["measuring_s"]
    print(f"  {answer['seconds']:.0f} s, of which {between_s:.0f} s neither built nor measured anything")
    for row in answer["rows"]:
        if row["predicted"] and row["measured"]:
            lost = f", {row['drop_points']:.2f} points lost" if row["drop_points"] is not None else ""
            print(f"  predicted {row['predicted']:.2f}x, measured {row['measured']:.2f}x{lost}: {row['key']}")


if __name__ == "__main__":
    main()
