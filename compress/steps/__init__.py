"""The steps there are, one file each.

Names decode: what is done - to what - how. To add one: a file beside this one with a frozen dataclass like
`ExportOnnx`, and a line here; the contract tests then run over it, and `--to` and `--mode` find it.
"""

from dataclasses import dataclass
from typing import Literal

from ftc.registry import Entry, Registry

Mode = Literal["dynamic", "static", "weight-only", "float16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEntry(Entry):
    """One step and its place in the way from a checkpoint to what is shipped.

    :param takes: format of what it is applied to
    :param makes: format of its result
    :param mode: how it makes numbers smaller; None for an export, which keeps them
    """

    takes: str
    makes: str
    mode: Mode | None = None


STEPS = Registry(
    "step",
    {
        "export-onnx": StepEntry(
            "compress.steps.export_onnx:ExportOnnx",
            "a checkpoint to ONNX, float32, dynamic batch and length",
            extra="onnx",
            takes="huggingface",
            makes="onnx",
        ),
        "quantize-onnx-dynamic": StepEntry(
            "compress.steps.quantize_onnx_dynamic:QuantizeOnnxDynamic",
            "INT8 weights, activations quantized as they come; needs no data",
            extra="onnx",
            takes="onnx",
            makes="onnx",
            mode="dynamic",
        ),
        "quantize-onnx-static": StepEntry(
            "compress.steps.quantize_onnx_static:QuantizeOnnxStatic",
            "INT8 weights and activations, ranges measured on calibration data",
            extra="onnx",
            takes="onnx",
            makes="onnx",
            mode="static",
        ),
    },
)
