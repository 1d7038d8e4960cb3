"""Packaging builds what answers as the artifact does, and keeps nothing else."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import bentoml
import numpy as np
import pytest

from ftc import golden
from ftc.artifact import Artifact, draft, seal
from ftc.checkpoint import open_any
from ftc.errors import InputError, RunError
from ftc.tasks.classification import probabilities
from serve import store
from serve.bundle import Settings, form_of
from serve.example import curl
from serve.package import Packaged, package
from tests.serve.conftest import serving

ROOT = Path(__file__).resolve().parents[2]


def _tags() -> set[str]:
    return {str(bento.tag) for bento in bentoml.bentos.list()}


def less_certain(artifact: Artifact, by: float, target: Path) -> Artifact:
    """A sealed copy that claims other answers than its model gives: every score moved towards the average."""
    kept = golden.read(artifact.path)
    scores = probabilities({"logits": kept.expected})
    claimed = np.log((1 - by) * scores + by / scores.shape[1]).astype(np.float32)
    with draft(target) as directory:
        shutil.copytree(artifact.path, directory, dirs_exist_ok=True)
        (directory / "ftc.json").unlink()
        golden.write(replace(kept, expected=claimed), directory)
        return seal(directory, target, artifact.manifest)


def test_a_bento_is_built_started_and_replayed(bento: Packaged, text_int8: Artifact) -> None:
    assert bento.tag.startswith(f"{text_int8.manifest.name}:")
    assert bento.replayed == len(golden.read(text_int8.path).examples)
    assert bento.artifact == text_int8.manifest.id
    assert bento.size_bytes > text_int8.manifest.facts.size_bytes
    assert bento.tag in _tags()
    assert store.find(f"{text_int8.manifest.name}:latest") == bento.tag


def test_a_killed_run_leaves_no_bento_and_the_next_one_no_trace_of_it(
    text_int8: Artifact, bentoml_home: Path, tmp_path: Path
) -> None:
    before = _tags()
    command = [sys.executable, "-m", "ftc", "package", str(text_int8.path), "--name", "killed", "--no-tune"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        deadline = time.monotonic() + 120
        while b"replaying the golden examples" not in (tmp_path / "log").read_bytes():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert _tags() == before
    left = [path for path in bentoml_home.iterdir() if path.name.startswith(".ftc-draft-killed")]
    assert len(left) == 1
    os.utime(left[0], (time.time() - 60,) * 2)
    made = package(text_int8, name="killed")
    assert _tags() == before | {made.tag}
    assert store.find("killed") == made.tag
    assert not left[0].exists()
    bentoml.bentos.delete(made.tag)


def test_its_requirements_are_pinned_and_hold_no_training_library(bento: Packaged) -> None:
    lines = (Path(bento.path) / "env" / "python" / "requirements.txt").read_text().split()
    assert all("==" in line and "+" not in line for line in lines)
    names = [line.partition("==")[0] for line in lines]
    assert len(names) == len(set(names)) == bento.packages
    assert {"bentoml", "numpy", "pydantic", "onnxruntime", "tokenizers"} <= set(names)
    assert not {"torch", "transformers", "tensorflow", "onnx", "pillow"} & set(names)


def test_its_image_can_be_built_and_listens_and_reports_to_nobody(bento: Packaged) -> None:
    context = Path(bento.path)
    lines = (context / "env" / "docker" / "Dockerfile").read_text().splitlines()
    assert "ARG BENTOML_DO_NOT_TRACK=True" in lines
    assert "ENV BENTOML_DO_NOT_TRACK=$BENTOML_DO_NOT_TRACK" in lines
    assert "ARG BENTOML_HOST=0.0.0.0" in lines
    assert "ENV BENTOML_HOST=$BENTOML_HOST" in lines
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert any("uv venv" in line and f"--python {version}" in line for line in lines)
    copied = [line.split()[-2] for line in lines if line.startswith("COPY") and "--from" not in line]
    assert copied == ["./env/docker", "./env/python", "."]
    assert all((context / place).exists() for place in copied)
    assert any("pip install -r $BENTO_PATH/env/python/requirements.txt" in line for line in lines)
    entry = next(line for line in lines if line.startswith("ENTRYPOINT"))
    assert (context / entry.split('"')[1].removeprefix("/home/bentoml/bento/")).is_file()
    assert {path.name for path in (context / "src").iterdir()} >= {"ftc", "serve", "model", "service.json"}


def test_a_bento_listens_on_the_loopback(bento: Packaged) -> None:
    code = "import bentoml, sys; print(bentoml.load(sys.argv[1]).config['http']['host'])"
    run = subprocess.run([sys.executable, "-c", code, bento.path], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "127.0.0.1"


def test_the_code_that_travels_is_all_it_needs(bento: Packaged) -> None:
    code = f"""
import sys
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder)]
sys.path[:] = [place for place in sys.path if place != {str(ROOT)!r}]
import serve.service
from serve.model import Model
assert Model.open(serve.service.BUNDLE).self_check() is None
ours = [module.__file__ for name, module in sys.modules.items() if name.split(".")[0] in ("ftc", "serve")]
assert all(file.startswith({bento.path!r}) for file in ours), ours
unwanted = {{"torch", "transformers", "tensorflow", "onnx", "PIL", "sklearn", "compress", "bench"}}
assert not unwanted & set(sys.modules), unwanted & set(sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=Path(bento.path) / "src", capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("by", [0.5, 2e-4], ids=["not ready", "replay differs"])
def test_a_bento_with_other_answers_is_not_kept(text_onnx: Artifact, tmp_path: Path, by: float) -> None:
    before = _tags()
    claimed = less_certain(text_onnx, by, tmp_path / "claimed")
    with pytest.raises(RunError, match=r"was not kept: .*golden example"):
        package(claimed)
    assert _tags() == before


def test_an_artifact_that_was_changed_is_refused(text_onnx: Artifact, tmp_path: Path) -> None:
    copied = tmp_path / "copied"
    shutil.copytree(text_onnx.path, copied)
    model = bytearray((copied / "model.onnx").read_bytes())
    model[-1] ^= 1
    (copied / "model.onnx").write_bytes(model)
    before = _tags()
    with pytest.raises(InputError, match=r"does not have the content"):
        package(open_any(copied))
    assert _tags() == before


def test_an_artifact_that_cannot_be_opened_is_refused_before_anything_is_built(
    text_onnx: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = Path(shutil.copytree(text_onnx.path, tmp_path / "copied"))
    told = json.loads((copied / "ftc.json").read_text())
    told["run"]["entry"] = "tokenizer.json"
    (copied / "ftc.json").write_text(json.dumps(told))
    monkeypatch.setattr("serve.package._build", lambda *_: pytest.fail("nothing may be built"))
    with pytest.raises(InputError, match="cannot open it"):
        package(open_any(copied))


@pytest.mark.parametrize(
    ("form", "asked"), [("pair", '"text_pair": '), ("text", '{"texts": ["'), (None, '{"texts": ["')]
)
def test_the_example_request_has_the_form_of_the_measured_rows(form: str | None, asked: str) -> None:
    measured = {"conditions": {"form": form}} if form is not None else {"p50_ns": 5}
    assert asked in curl("text-classification", "http://127.0.0.1:3000", form_of(measured))


def test_a_service_that_answers_wrongly_lives_but_is_not_ready(text_onnx: Artifact, tmp_path: Path) -> None:
    from serve.context import stage

    place = tmp_path / "place"
    place.mkdir()
    stage(less_certain(text_onnx, 0.5, tmp_path / "claimed"), Settings(), place)
    with serving("serve.service:FtcService", place, home=place) as server:
        with pytest.raises(RunError, match=r"not ready \(503\)"):
            server.wait_until_ready()
        assert server.get("/metadata")["name"] == "tiny-bert-onnx"
        with pytest.raises(RunError, match=r"/predict answered 503"):
            server.post("/predict", {"texts": ["good"]})


def test_a_checkpoint_is_packaged_as_it_is(text_checkpoint: Path) -> None:
    packaged = package(open_any(text_checkpoint), name="as-trained")
    assert packaged.tag.startswith("as-trained:")
    assert packaged.runtime == "torch"
    assert {need.partition("==")[0] for need in packaged.requirements} >= {"torch", "transformers"}


@pytest.mark.parametrize("name", ["Upper", "-dash", "a/b", "x" * 64, ""])
def test_names_that_bentoml_refuses_are_refused_first(text_onnx: Artifact, name: str) -> None:
    with pytest.raises(InputError, match="cannot name a Bento"):
        package(text_onnx, name=name)


def test_a_runtime_without_a_service_is_refused(text_onnx: Artifact) -> None:
    manifest = replace(text_onnx.manifest, run=replace(text_onnx.manifest.run, runtime="abacus"))
    with pytest.raises(InputError, match="'abacus'; Bentos are built for onnxruntime, "):
        package(Artifact(text_onnx.path, manifest))


@pytest.mark.parametrize(
    "wrong",
    [
        {"threads": 0},
        {"threads": 2**40},
        {"max_batch_size": 0},
        {"max_queue": 9},
        {"max_body_bytes": 0},
        {"max_latency_ms": 0},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(InputError, match=r"must be (at least|from 1 to)"):
        Settings(**wrong)


def test_a_checkout_builds_the_same_service(text_onnx: Artifact, bento: Packaged, tmp_path: Path) -> None:
    for name in ("ftc", "serve"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "bentofile.yaml", tmp_path)
    build = [sys.executable, "-m", "bentoml", "build", "--output", "tag"]
    empty = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True)
    assert empty.returncode == 1
    assert "there is no artifact to serve" in empty.stderr
    shutil.copytree(text_onnx.path, tmp_path / "model")
    built = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True, check=True)
    tag = built.stdout.strip().removeprefix("__tag__:")
    source = Path(bentoml.bentos.get(tag).path)
    assert json.loads((source / "src" / "model" / "ftc.json").read_text())["id"] == text_onnx.manifest.id
    assert "BENTOML_DO_NOT_TRACK=True" in (source / "env" / "docker" / "Dockerfile").read_text()
    assert not (source / "src" / "ftc" / "cli").exists()
    assert store.find(tag) == tag
    assert store.latest() != tag, "nobody has checked it"
    bentoml.bentos.delete(tag)
