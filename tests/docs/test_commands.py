"""Every command in the documents runs, in the order in which a reader types them."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

from compress.apply import apply
from compress.steps import STEPS
from ftc.checkpoint import open_any
from ftc.cli import main
from ftc.declared import Declared
from serve.server import free_port
from tests import forked
from tests.conftest import IMAGE_LABELS, save_keras_model

PROJECT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands(document: str) -> list[str]:
    text = (PROJECT / document).read_text()
    return [line for block in BLOCK.findall(text) for line in block.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, text_checkpoint: Path) -> Path:
    """A directory with what the README supposes: a checkpoint, a Keras model, a TFLite file, and data for them."""
    path = tmp_path_factory.mktemp("reader")
    for name in ("ckpt", "base"):
        shutil.copytree(text_checkpoint, path / name)
    for name, what in (("train.csv", "screen"), ("test.csv", "picture")):
        rows = "".join(f"the {what} is bright {number},{number % 2}\n" for number in range(120))
        (path / name).write_text("text,label\n" + rows)
    keras_model = save_keras_model(path / "model.keras")
    (path / "labels.txt").write_text("\n".join(IMAGE_LABELS) + "\n")
    root = open_any(keras_model, Declared(labels=IMAGE_LABELS, processor="tf"))
    exported = apply(STEPS.load("export-keras-tflite")(), root, tmp_path_factory.mktemp("made") / "made")
    shutil.copyfile(exported.model_path, path / "model.tflite")
    random = np.random.default_rng(0)
    for number in range(30):
        folder = path / "images" / IMAGE_LABELS[number % len(IMAGE_LABELS)]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (32, 32, 3), np.uint8)).save(folder / f"{number}.png")
    return path


def environment(place: Path) -> dict[str, str]:
    scripts = str(Path(sys.executable).parent)
    return os.environ | {"BENTOML_HOME": str(place / "bentoml"), "PATH": f"{scripts}:{os.environ['PATH']}"}


@pytest.mark.timeout(900)
def test_the_readme_from_inspect_to_an_answer(place: Path) -> None:
    for extra, module in (("tflite", "litert_torch"), ("openvino", "nncf"), ("keras", "tensorflow")):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"the README uses the extra [{extra}], which is not installed")
    typed = commands("README.md")
    port = str(free_port())
    ran = []
    for line in typed:
        if not line.startswith("ftc ") or line == "ftc serve":
            continue
        budgets = {"bench": " --time-budget 2", "optimize": " --time-budget 30"}
        short = " --time-budget 2" if line == "ftc package" else budgets.get(line.split()[1], "")
        words = shlex.split(line + short)
        if words[1] in ran:
            result = forked.ftc(words[1:], cwd=place, env=environment(place))
        else:  # each command once from the start of Python on
            result = subprocess.run(
                words, cwd=place, env=environment(place), capture_output=True, text=True, check=False
            )
        assert result.returncode == 0, f"{line}\n{result.stderr}"
        ran.append(words[1])
    assert ran[:6] == ["inspect", "quantize", "quantize", "bench", "report", "package"], "the main job comes first"
    assert ran[6:] == [
        "optimize",
        *("quantize", "quantize", "export", "doctor"),
        *("prune", "quantize", "distill", "distill", "finetune"),
        *("package", "package", "bench"),
        "package",
        *("inspect", "quantize", "bench"),
        *("bench", "bench"),
    ]
    assert "ftc serve" in typed
    server = subprocess.Popen(
        ["ftc", "serve", "--port", port], cwd=place, env=environment(place), stderr=subprocess.PIPE, text=True
    )
    try:
        assert server.stderr is not None
        for line in server.stderr:
            if line.startswith("ready at"):
                break
        else:
            pytest.fail("the service never became ready")
        curl = next(line for line in typed if line.startswith("curl "))
        answer = subprocess.run(
            shlex.split(curl.replace(":3000/", f":{port}/")), capture_output=True, text=True, check=True
        )
        assert '"label"' in answer.stdout
        assert '"score"' in answer.stdout
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=60)
    time.sleep(0.1)
    assert server.returncode in (0, 130)


def test_the_readme_in_python(place: Path) -> None:
    (code,) = PYTHON.findall((PROJECT / "README.md").read_text())
    assert "time_budget_s=240" in code
    quick = code.replace("time_budget_s=240", "time_budget_s=30")  # what the command above has searched already
    subprocess.run([sys.executable, "-c", quick], cwd=place, check=True, capture_output=True)


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_make_targets_that_are_named_exist(document: str) -> None:
    makefile = (PROJECT / "Makefile").read_text()
    for target in re.findall(r"\bmake (demo|test|lint|[a-z]+)\b(?=`|\n|  )", (PROJECT / document).read_text()):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_extras_that_the_readme_names_exist() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    named = {"torch", "keras", "onnx", "tflite", "openvino", "serve", "data", "mlflow", "standard", "all"}
    assert named <= set(project["optional-dependencies"])


@pytest.mark.parametrize("name", [*main.commands])
def test_examples_in_help_texts_parse(name: str) -> None:
    command = main.commands[name]
    lines = [line.strip() for line in (command.help or "").splitlines() if line.strip().startswith(f"ftc {name}")]
    assert lines
    for line in lines:
        words = shlex.split(re.split(r"\s{3,}", line)[0])
        with click.Context(command, info_name=name) as context:
            command.parse_args(context, words[2:])


def test_files_that_the_documents_name_exist() -> None:
    for document in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "benchmarks/README.md", "bench/README.md"):
        text = (PROJECT / document).read_text()
        for path in re.findall(r"`((?:ftc|compress|bench|serve|tests|benchmarks)/[\w./]*)`", text):
            assert (PROJECT / path).exists(), f"{document} names {path}"
