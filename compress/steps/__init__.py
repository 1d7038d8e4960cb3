"""The steps there are, one file each.

Names decode: what is done - to what - how. To add one: a file beside this one with a frozen dataclass like
`ExportOnnx`, and a line here; the contract tests then run over it.
"""

from ftc.registry import Entry, Registry

STEPS = Registry(
    "step",
    {
        "export-onnx": Entry(
            "compress.steps.export_onnx:ExportOnnx",
            "a checkpoint to ONNX, float32, dynamic batch and length",
            extra="onnx",
        ),
        "quantize-onnx-dynamic": Entry(
            "compress.steps.quantize_onnx_dynamic:QuantizeOnnxDynamic",
            "INT8 weights, activations quantized as they come; needs no data",
            extra="onnx",
        ),
        "quantize-onnx-static": Entry(
            "compress.steps.quantize_onnx_static:QuantizeOnnxStatic",
            "INT8 weights and activations, ranges measured on calibration data",
            extra="onnx",
        ),
    },
)
