"""The command line answers at once: it imports nothing heavy, and every command explains itself."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from ftc.cli import main

HEAVY = (
    "torch",
    "transformers",
    "tensorflow",
    "onnx",
    "onnxruntime",
    "numpy",
    "bentoml",
    "PIL",
    "sklearn",
    "rich",
)


def test_importing_the_command_line_imports_no_heavy_library() -> None:
    code = f"import sys, ftc.cli; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == ""


@pytest.mark.parametrize("command", [*main.commands])
def test_every_command_has_help_with_an_example(command: str) -> None:
    result = CliRunner().invoke(main, [command, "--help"])
    assert result.exit_code == 0
    assert f"ftc {command}" in result.output.split("Options:")[0].split("\n", 2)[2]


def test_the_group_lists_every_command() -> None:
    output = CliRunner().invoke(main, ["--help"]).output
    assert all(f"\n  {command} " in output for command in main.commands)


def test_wrong_usage_ends_with_2() -> None:
    assert CliRunner().invoke(main, ["no-such-command"]).exit_code == 2
    assert CliRunner().invoke(main, ["quantize"]).exit_code == 2
    assert CliRunner().invoke(main, ["quantize", "x", "--rows", "0"]).exit_code == 2
