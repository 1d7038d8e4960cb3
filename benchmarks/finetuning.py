"""`ftc finetune` of a pretrained encoder with its defaults, and with LoRA: time and accuracy on test rows.

python benchmarks/finetuning.py BASE --train ROWS --test ROWS [--label-column NAME] [--lora 16]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from measuring import FTC, checked


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", type=Path)
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--lora", default="16", help="Rank; 0 trains the whole network alone.")
    arguments, columns = parser.parse_known_args()
    lora = [["--lora", arguments.lora]] if arguments.lora != "0" else []
    with tempfile.TemporaryDirectory() as folder:
        for number, how in enumerate([[], *lora]):
            command = [*FTC, "finetune", arguments.base, "--data", arguments.train, "--test", arguments.test]
            made = checked([*command, *columns, *how, "-o", Path(folder) / str(number)])
            print(f"{' '.join(how) or 'the whole network'}: {made.wall_s:.0f} s\n{made.stdout}", flush=True)


if __name__ == "__main__":
    main()
