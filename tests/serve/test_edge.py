"""The edge bundle: the same bytes each time, a decoder that answers by itself, and nothing where it does not."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ftc import golden
from ftc.artifact import Artifact
from ftc.checkpoint import open_any
from ftc.data.images import decode
from ftc.errors import InputError, RunError
from ftc.tasks.task import open_task
from serve.edge import package_edge
from tests.cli.typed import ftc, refused
from tests.serve.test_package import less_certain

MEASURED = {
    "verdict": "winner",
    "reason": "2.36x as fast as a|b",
    "metrics": {"accuracy": 0.8933},
    "drop": {"points": 0.34, "low_points": -0.3, "high_points": 1.0},
    "p50_ns": 1_500_000,
    "p90_ns": None,
    "samples": 688,
    "ratio_to_root": {"value": 5.98, "low": 5.0, "high": 6.5},
    "cells": [{"cell": {"batch_size": 1, "length": None}, "p50_ns": 1_500_000}],
    "conditions": {
        "machine": {"cpu": "a processor", "instructions": ["avx2"], "versions": {"numpy": "2.4.6"}},
        "threads": 1,
        "data": {"rows": 9, "source": "test.csv", "fingerprint": "x"},
    },
}

ALONE = """
import sys
sys.argv = ["decode.py", "--replay"]
import decode
assert decode.main(sys.argv[1:]) == 0
unwanted = {"ftc", "serve", "torch", "transformers", "tensorflow", "onnx", "bentoml", "pydantic"}
assert not unwanted & set(sys.modules), unwanted & set(sys.modules)
"""


def unpacked(archive: Path, place: Path) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run(["tar", "-xzf", str(archive), "-C", str(place)], check=True)
    (root,) = place.iterdir()
    return root


def alone(place: Path, *arguments: str) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    run = subprocess.run([sys.executable, *arguments], cwd=place, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.fixture(params=["text_int8", "image_onnx", "text_tflite"])
def any_artifact(request: pytest.FixtureRequest) -> Artifact:
    artifact: Artifact = request.getfixturevalue(request.param)
    return artifact


def test_the_decoder_answers_the_golden_examples_with_nothing_of_ours(any_artifact: Artifact, tmp_path: Path) -> None:
    made = package_edge(any_artifact, tmp_path / "a.tar.gz", MEASURED)
    assert made.replayed == len(golden.read(any_artifact.path).examples)
    place = unpacked(tmp_path / "a.tar.gz", tmp_path / "out")
    said = json.loads(alone(place, "-c", ALONE))
    assert (said["replayed"], said["wrong"]) == (made.replayed, 0)
    assert (place / "requirements.txt").read_text().split() == list(made.requirements)


def test_the_same_artifact_gives_the_same_bytes(text_int8: Artifact, tmp_path: Path) -> None:
    first = package_edge(text_int8, tmp_path / "a.tar.gz", MEASURED)
    second = package_edge(text_int8, tmp_path / "b.tar.gz", MEASURED)
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()
    assert first.sha256 == second.sha256 == hashlib.sha256((tmp_path / "a.tar.gz").read_bytes()).hexdigest()
    assert {path.name for path in tmp_path.iterdir()} == {"a.tar.gz", "b.tar.gz"}


def test_a_text_gets_the_artifact_s_scores_from_the_command(text_onnx: Artifact, tmp_path: Path) -> None:
    from ftc.runtimes.session import open_session

    package_edge(text_onnx, tmp_path / "a.tar.gz")
    place = unpacked(tmp_path / "a.tar.gz", tmp_path / "out")
    task = open_task(text_onnx)
    for example in ("good film", ("good film", "bad battery"), "a slow delivery " * 40):
        wanted = task.decode(open_session(text_onnx).run(task.encode([example])))[0].scores
        parts = [example] if isinstance(example, str) else example
        assert json.loads(alone(place, "decode.py", *parts)) == pytest.approx(wanted, abs=1e-5)
    for wrong in (["--help"], ["--reply"], ["--replay", "extra"], [""], [], ["a", "b", "c"]):
        refused = subprocess.run([sys.executable, "decode.py", *wrong], cwd=place, capture_output=True, text=True)
        assert refused.returncode == 2, wrong
        assert "python decode.py --replay" in refused.stderr
    assert "negative" in json.loads(alone(place, "decode.py", "--", "--reply"))


ODD_TEXTS = [
    "\u200b",
    "\u202e\u0301" * 50,
    "\U0001f600" * 5,
    "[CLS] [SEP] [PAD] [MASK]",
    "word " * 20_000,
    "x" * 100_000,
    "-x",
    ("a", "bad " * 5_000),
]


def decoder_of(place: Path) -> Any:
    found = importlib.util.spec_from_file_location("edge_decode", place / "decode.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.mark.parametrize("artifact", ["text_int8", "text_tflite"])
def test_odd_texts_get_the_artifact_s_scores(artifact: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    from ftc.runtimes.session import open_session

    packaged: Artifact = request.getfixturevalue(artifact)
    package_edge(packaged, tmp_path / "a.tar.gz")
    decoder = decoder_of(unpacked(tmp_path / "a.tar.gz", tmp_path / "out")).Decoder()
    task, session = open_task(packaged), open_session(packaged)
    for example in ODD_TEXTS:
        (wanted,) = task.decode(session.run(task.encode([example])))
        got = decoder.scores(list(example) if isinstance(example, tuple) else example)
        assert got == pytest.approx(wanted.scores, abs=1e-5), str(example)[:40]


def test_images_are_read_as_the_service_reads_them_or_refused(image_onnx: Artifact, tmp_path: Path) -> None:
    package_edge(image_onnx, tmp_path / "a.tar.gz")
    place = unpacked(tmp_path / "a.tar.gz", tmp_path / "out")
    module = decoder_of(place)
    random = np.random.default_rng(0)
    rgb = Image.fromarray(random.integers(0, 256, (40, 30, 3), np.uint8))
    deep = Image.fromarray(random.integers(0, 65536, (40, 30), np.uint16))
    pictures = {"cmyk.jpg": rgb.convert("CMYK"), "grey.png": deep, "grey.tiff": deep, "palette.gif": rgb.convert("P")}
    for name, picture in pictures.items():
        picture.save(tmp_path / name)
        file = (tmp_path / name).read_bytes()
        assert np.array_equal(module.read_image(tmp_path / name), decode(file, name)), name
    Image.fromarray(random.random((40, 30)).astype(np.float32)).save(tmp_path / "float.tiff")
    Image.new("1", (20_000, 10_000)).save(tmp_path / "bomb.png")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cmyk.jpg").read_bytes()[:300])
    (tmp_path / "a.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    for name in ("float.tiff", "bomb.png", "cut.jpg", "a.eps", "absent.png"):
        with pytest.raises((OSError, ValueError)):
            module.read_image(tmp_path / name)
    for wrong in (["absent.png"], ["../../grey.png", "../../grey.png"], [str(tmp_path / "cut.jpg")]):
        refused = subprocess.run([sys.executable, "decode.py", *wrong], cwd=place, capture_output=True, text=True)
        assert (refused.returncode, "Traceback" in refused.stderr) == (2, False), wrong


def test_a_text_that_is_no_utf_8_is_refused(text_int8: Artifact, tmp_path: Path) -> None:
    package_edge(text_int8, tmp_path / "a.tar.gz")
    place = unpacked(tmp_path / "a.tar.gz", tmp_path / "out")
    refused = subprocess.run([sys.executable, "decode.py", b"\xff\xfe"], cwd=place, capture_output=True)
    assert refused.returncode == 2
    assert b"cannot be read" in refused.stderr


def test_sums_sbom_and_card_say_what_is_in_it(text_int8: Artifact, tmp_path: Path) -> None:
    package_edge(text_int8, tmp_path / "a.tar.gz", MEASURED)
    place = unpacked(tmp_path / "a.tar.gz", tmp_path / "out")
    files = {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}
    sums = dict(reversed(line.split("  ")) for line in files.pop("SHA256SUMS").decode().splitlines())
    assert sums == {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    assert {"model.onnx", "tokenizer.json", "labels.txt", "decode.py", "golden/golden.json", "LICENSE_NOTE.txt"} <= set(
        files
    )
    bill = json.loads(files["sbom.cdx.json"])
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    listed = {part["name"]: part["hashes"][0]["content"] for part in bill["components"] if part["type"] == "file"}
    assert listed == {name: sums[name] for name in sums if name != "sbom.cdx.json"}
    packages = {f"{part['name']}=={part['version']}" for part in bill["components"] if part["type"] == "library"}
    assert packages == set(files["requirements.txt"].decode().split())
    names = [part["bom-ref"] for part in bill["components"]]
    assert len(names) == len(set(names))
    card = files["MODEL_CARD.md"].decode()
    assert text_int8.manifest.id in card
    for said in (
        "| result | 2.36x as fast as a\\|b |",
        "| accuracy | 0.8933 |",
        "| latency of one row | p50 1.50 ms (688 samples) |",
        "| drop against the checkpoint | 0.34 points (95 % interval -0.30 to 1.00) |",
        "| speed against the checkpoint | 5.98 times as fast (95 % interval 5.00 to 6.50) |",
        "| processor | a processor (avx2) |",
        "| rows | 9 of test.csv |",
        "   - per_channel: yes",
    ):
        assert said in card, said
    assert not re.search(r"[{}']|True|None|\(\)", card), "nothing is written as Python writes it"


@pytest.mark.parametrize("by", [0.5, 2e-4])
def test_a_bundle_whose_decoder_answers_otherwise_is_not_kept(text_onnx: Artifact, tmp_path: Path, by: float) -> None:
    claimed = less_certain(text_onnx, by, tmp_path / "claimed")
    with pytest.raises(RunError, match=r"was not kept: .*\n(.|\n)*golden example \d"):
        package_edge(claimed, tmp_path / "out" / "a.tar.gz")
    assert not (tmp_path / "out").exists()


def test_what_no_bundle_can_hold_is_refused(text_checkpoint: Path, text_onnx: Artifact, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Export it first"):
        package_edge(open_any(text_checkpoint), tmp_path / "a.tar.gz")
    (tmp_path / "a.tar.gz").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        package_edge(text_onnx, tmp_path / "a.tar.gz")
    assert (tmp_path / "a.tar.gz").read_text() == "mine"
    several = replace(text_onnx.manifest, run=replace(text_onnx.manifest.run, entry="tokenizer.json"))
    with pytest.raises(InputError, match="does not fit"):
        package_edge(Artifact(text_onnx.path, several), tmp_path / "b.tar.gz")


def test_the_command_writes_it(text_int8: Artifact, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ftc", "package", str(text_int8.path.resolve())]
    made = subprocess.run([*command, "--for", "edge"], cwd=tmp_path, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    (archive,) = tmp_path.iterdir()
    assert archive.name == f"{text_int8.manifest.name}-{text_int8.manifest.id}.tar.gz"
    assert re.search(rf"sha256 {hashlib.sha256(archive.read_bytes()).hexdigest()}", made.stdout)
    refused = subprocess.run([*command, "-o", "x"], cwd=tmp_path, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "--for edge" in refused.stderr


@pytest.mark.parametrize("other", [["--name", "phone"], ["--threads", "2"], ["--no-tune"], ["--max-items", "8"]])
def test_what_belongs_to_a_service_is_refused(text_int8: Artifact, tmp_path: Path, other: list[str]) -> None:
    run = ftc("package", text_int8.path.resolve(), "--for", "edge", *other, cwd=tmp_path)
    refused(run, f"{other[0]} does not go with --for edge")
    assert not list(tmp_path.iterdir())
