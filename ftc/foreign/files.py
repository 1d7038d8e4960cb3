"""Which paths are model files that `ftc` runs without knowing who made them."""

from __future__ import annotations

from pathlib import Path

from ftc.errors import InputError

FORMATS = {".onnx": "onnx", ".tflite": "tflite", ".xml": "openvino"}
"""Formats by the suffix of their files."""


def is_foreign(path: Path) -> bool:
    """Whether a path is named like a model file of one of the formats; says nothing of whether it is a sound one."""
    return path.suffix.lower() in FORMATS and not path.is_dir()


def refuse(path: Path, verb: str) -> None:
    """Refuse a model file made elsewhere before anything is asked of it that would only be needed to open it.

    :param verb: what is not done with such files, such as ``quantized``
    :raises InputError: if it is one
    """
    if is_foreign(path):
        raise InputError(
            f"{path} is a model file that ftc did not make: such files are inspected and measured (ftc bench), not "
            f"{verb}. Give the checkpoint that it was made from, or an artifact of ftc."
        )
