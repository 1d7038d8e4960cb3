"""`ftc doctor`, and what commands say where an extra is not installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from ftc.artifact import Artifact
from ftc.cli import main
from ftc.cli.doctor import diagnose
from ftc.machine import Processor
from ftc.runtimes import RUNTIMES

HIDING = """
import importlib.metadata as metadata
import sys

MODULES = {modules!r}
DISTRIBUTIONS = {distributions!r}


class Hiding:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in MODULES:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)


sys.meta_path.insert(0, Hiding())
found = metadata.Distribution.from_name.__func__


def from_name(cls, name):
    if name in DISTRIBUTIONS:
        raise metadata.PackageNotFoundError(name)
    return found(cls, name)


metadata.Distribution.from_name = classmethod(from_name)
"""
HIDDEN = {
    "ai_edge_litert": "ai-edge-litert",
    "ai_edge_quantizer": "ai-edge-quantizer",
    "litert_torch": "litert-torch",
    "openvino": "openvino",
    "nncf": "nncf",
    "tensorflow": "tensorflow",
}


@pytest.fixture
def without(tmp_path: Path) -> Mapping[str, str]:
    """The environment of processes for which the libraries in `HIDDEN` are not installed."""
    place = tmp_path / "hiding"
    place.mkdir()
    text = HIDING.format(modules=set(HIDDEN), distributions=set(HIDDEN.values()))
    (place / "sitecustomize.py").write_text(text)
    return {**os.environ, "PYTHONPATH": f"{place}{os.pathsep}{Path(__file__).parents[2]}"}


def ftc(environment: Mapping[str, str], *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ftc", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_it_lists_every_runtime_and_what_this_process_may_use() -> None:
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 0
    for name in RUNTIMES:
        assert f"runtime {name}" in result.output
    assert f"{len(os.sched_getaffinity(0))} that this process may use" in result.output


def test_as_json() -> None:
    found = json.loads(CliRunner().invoke(main, ["doctor", "--json"]).output)
    assert set(found["runtimes"]) == set(RUNTIMES)
    assert found["memory_bytes"] >= found["memory_available_bytes"] > 0
    assert all(isinstance(there, bool) for there in found["instructions"].values())


def test_it_imports_no_heavy_library() -> None:
    code = (
        "import sys; from ftc.cli.doctor import diagnose; diagnose()\n"
        "print(*sorted({'numpy', 'torch', 'onnxruntime', 'tensorflow', 'openvino', 'pydantic'} & set(sys.modules)))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == ""


@pytest.mark.parametrize(
    ("instructions", "says"),
    [
        (("avx2", "avx512f", "avx512_vnni", "amx_int8"), "AMX"),
        (("avx2", "avx_vnni"), "VNNI sums"),
        (("avx2", "avx512f"), "7-bit weights"),
        (("asimd", "asimddp", "i8mm"), "i8mm"),
        (("asimd", "asimddp"), "dotprod"),
        ((), "smaller files"),
    ],
)
def test_what_instructions_mean_for_int8(
    instructions: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    architecture = "aarch64" if "asimd" in instructions else "x86_64"
    there = Processor("a processor", architecture, instructions, cores=4, quota=1.5)
    monkeypatch.setattr("ftc.machine.processor", lambda: there)
    found = diagnose()
    assert says in found.int8
    assert ("NEON" in found.instructions) == (architecture == "aarch64")
    assert "time for 1.5 of them" in CliRunner().invoke(main, ["doctor"]).output


def test_a_graphics_processor_is_shown_and_a_broken_driver_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    tool.write_text("#!/bin/sh\necho '0, GPU-1, NVIDIA X, 8192, 1.2'\n")
    tool.chmod(0o755)
    assert diagnose().graphics == ("NVIDIA X, 8192 MiB, driver 1.2",)
    tool.write_text("#!/bin/sh\necho 'no devices were found'\nexit 9\n")
    assert diagnose().graphics == ()


def test_what_is_missing_is_listed_with_what_it_would_add(without: Mapping[str, str]) -> None:
    result = ftc(without, "doctor")
    assert result.returncode == 0, result.stderr
    lines = {line.split("  ")[0]: line for line in result.stdout.splitlines()}
    assert "not installed: pip install -c constraints.txt -e '.[tflite]'" in lines["runtime litert"]
    assert "not installed: pip install -c constraints.txt -e '.[openvino]'" in lines["runtime openvino"]
    assert "format tflite" in lines["extra tflite"]
    assert "quantize-openvino-static" in lines["extra openvino"]
    assert "not installed" not in lines["runtime onnxruntime"]


@pytest.mark.parametrize("wanted", ["tflite", "openvino"])
def test_exporting_without_the_extra_names_it(
    wanted: str, without: Mapping[str, str], text_checkpoint: Path, tmp_path: Path
) -> None:
    result = ftc(without, "export", text_checkpoint, "--to", wanted, "--artifacts", tmp_path / "a")
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert f"pip install -c constraints.txt -e '.[{wanted}]'" in result.stderr
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(("name", "extra"), [("m.tflite", "tflite"), ("m.xml", "openvino")])
def test_measuring_a_file_without_its_runtime_names_the_extra(
    name: str, extra: str, without: Mapping[str, str], text_onnx: Artifact, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(b"x")
    (tmp_path / "m.bin").write_bytes(b"x")
    result = ftc(without, "bench", text_onnx.path, tmp_path / name, "--artifacts", tmp_path)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert f"pip install -c constraints.txt -e '.[{extra}]'" in result.stderr
