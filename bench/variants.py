"""In which ways a candidate is measured on a device."""

from __future__ import annotations

import ctypes.util
from importlib.util import find_spec

from ftc.artifact import Artifact
from ftc.runtimes.variant import ON_CUDA, Variant

Ways = tuple[Variant | None, ...]
"""Variants of one artifact; None alone where a runtime leaves no choice."""


def variants(artifact: Artifact, device: str) -> Ways:
    """The ways to execute an artifact on a device; one alone, None, where there is no choice.

    What cannot run on a GPU at all has one way there too, the plain one, whose session says why not.
    """
    ways = ON_CUDA.get(artifact.manifest.run.runtime)
    if device == "cpu" or ways is None:
        return (None,)
    if artifact.manifest.format == "onnx":
        from ftc.runtimes.onnx_int8 import int8_operators

        if artifact.manifest.is_foreign or int8_operators(artifact.model_path):
            return ways[:1]
    return tuple(way for way in ways if way.way != "tensorrt" or has_tensorrt())


def has_tensorrt() -> bool:
    """Whether TensorRT is installed, as a Python package or for the whole system."""
    return find_spec("tensorrt") is not None or ctypes.util.find_library("nvinfer") is not None
