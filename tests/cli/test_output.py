"""What reaches the terminal: results that cannot be written, results as JSON, and text that could move the cursor."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from ftc.artifact import Artifact, find_artifacts
from tests.cli.typed import ftc, refused, typed

FULL = """
import errno, io, sys

class Full(io.StringIO):
    def write(self, text):
        raise OSError(errno.ENOSPC, "No space left on device")

    def fileno(self):
        return 1

from ftc.cli import main
sys.stdout = Full()
main(["bench", "--help"])
"""


def test_a_result_that_finds_no_room_is_said() -> None:
    run = subprocess.run([sys.executable, "-c", FULL], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stderr.startswith("Error: the result could not be written: No space left on device.")
    assert "Traceback" not in run.stderr


def test_json_holds_the_parity_record(text_checkpoint: Path, tmp_path: Path) -> None:
    told = json.loads(ftc("export", text_checkpoint, "--json", "-o", tmp_path / "out").stdout)
    kept = json.loads((tmp_path / "out" / "ftc.json").read_text())
    assert told["parity"] == kept["parity"]
    assert told["parity"]["lossy"] is False


def test_labels_cannot_move_the_cursor(text_checkpoint: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(text_checkpoint, tmp_path / "odd"))
    config = json.loads((copied / "config.json").read_text())
    config["id2label"] = {"0": "bad\n  id  0000", "1": "\x1b[2Jgood"}
    (copied / "config.json").write_text(json.dumps(config))
    shown = ftc("inspect", copied)
    assert "\x1b" not in shown.stdout
    assert [line.strip() for line in shown.stdout.splitlines() if "0000" in line and line.startswith("  id  0")] == []
    assert r"\x1b[2Jgood" in shown.stdout


def test_inspect_counts_at_the_length_it_names(text_checkpoint: Path) -> None:
    # two layers of 4 projections, attention and a feed-forward of 64, at 64 tokens; pooler and classifier
    by_hand = 2 * (4 * 64 * 32 * 32 + 2 * 64 * 64 * 32 + 2 * 64 * 32 * 64) + 32 * 32 + 32 * 2
    told = json.loads(ftc("inspect", text_checkpoint, "--json").stdout)["facts"]
    assert (told["multiply_accumulates"], told["reference_input"]) == (by_hand, "1 x 64 tokens")


def test_inspect_says_what_code_of_ones_own_must_set(text_onnx: Artifact) -> None:
    ((key, value),) = text_onnx.manifest.run.session_config.items()
    assert f"add_session_config_entry({key!r}, {value!r})" in ftc("inspect", text_onnx.path).stdout


def test_an_occupied_output_is_refused_before_anything_is_made(
    text_checkpoint: Path, text_onnx: Artifact, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    shutil.copytree(text_onnx.path, tmp_path / "float")
    for place in ("mine", "float"):
        refused(ftc("quantize", text_checkpoint, "-o", place, cwd=tmp_path), place, "-o")
        assert not (tmp_path / "artifacts").exists()


def test_a_broken_image_is_refused_before_anything_is_made(image_checkpoint: Path, tmp_path: Path) -> None:
    for name in ("circle", "square", "star"):
        (tmp_path / "images" / name).mkdir(parents=True)
        Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(tmp_path / "images" / name / "1.png")
    whole = (tmp_path / "images" / "star" / "1.png").read_bytes()
    (tmp_path / "images" / "star" / "1.png").write_bytes(whole[: len(whole) // 2])
    refused(ftc("quantize", image_checkpoint, "--data", "images", cwd=tmp_path), "star")
    assert not (tmp_path / "artifacts").exists()


def test_the_same_command_twice_at_once_succeeds_twice(text_checkpoint: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: typed("quantize", text_checkpoint, cwd=tmp_path), range(2)))
    assert [run.returncode for run in both] == [0, 0], [run.stderr for run in both]
    assert len(find_artifacts(tmp_path / "artifacts")) == 2
