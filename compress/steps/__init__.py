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


STEPS: Registry[StepEntry] = Registry(
    "step",
    {
        "export-onnx": StepEntry(
            "compress.steps.export_onnx:ExportOnnx",
            "a checkpoint to ONNX, float32, dynamic batch and length",
            extra="onnx",
            takes="huggingface",
            makes="onnx",
        ),
        "export-tflite": StepEntry(
            "compress.steps.export_tflite:ExportTflite",
            "a checkpoint to TFLite, float32, one row at a time, a signature for each length of text",
            extra="tflite",
            takes="huggingface",
            makes="tflite",
        ),
        "export-keras-tflite": StepEntry(
            "compress.steps.export_keras_tflite:ExportKerasTflite",
            "a Keras model to TFLite, float32, one row at a time",
            extra="keras",
            takes="keras",
            makes="tflite",
        ),
        "export-keras-onnx": StepEntry(
            "compress.steps.export_keras_onnx:ExportKerasOnnx",
            "a Keras model to ONNX, float32, dynamic batch",
            extra="keras",
            takes="keras",
            makes="onnx",
        ),
        "quantize-keras-float16": StepEntry(
            "compress.steps.quantize_keras_tflite:QuantizeKerasFloat16",
            "a Keras model to TFLite with weights in 16 bits; needs no data",
            extra="keras",
            takes="keras",
            makes="tflite",
            mode="float16",
        ),
        "quantize-keras-dynamic": StepEntry(
            "compress.steps.quantize_keras_tflite:QuantizeKerasDynamic",
            "a Keras model to TFLite with INT8 weights; needs no data",
            extra="keras",
            takes="keras",
            makes="tflite",
            mode="dynamic",
        ),
        "quantize-keras-static": StepEntry(
            "compress.steps.quantize_keras_tflite:QuantizeKerasStatic",
            "a Keras model to TFLite in INT8, ranges measured on calibration data",
            extra="keras",
            takes="keras",
            makes="tflite",
            mode="static",
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
        "quantize-tflite-dynamic": StepEntry(
            "compress.steps.quantize_tflite_weights:QuantizeTfliteDynamic",
            "INT8 weights, activations quantized as they come; needs no data",
            extra="tflite",
            takes="tflite",
            makes="tflite",
            mode="dynamic",
        ),
        "quantize-tflite-static": StepEntry(
            "compress.steps.quantize_tflite_static:QuantizeTfliteStatic",
            "INT8 weights and activations, ranges measured on calibration data",
            extra="tflite",
            takes="tflite",
            makes="tflite",
            mode="static",
        ),
        "quantize-tflite-weight-only": StepEntry(
            "compress.steps.quantize_tflite_weights:QuantizeTfliteWeightOnly",
            "INT8 weights, computing in float32",
            extra="tflite",
            takes="tflite",
            makes="tflite",
            mode="weight-only",
        ),
        "quantize-tflite-float16": StepEntry(
            "compress.steps.quantize_tflite_weights:QuantizeTfliteFloat16",
            "float16 weights",
            extra="tflite",
            takes="tflite",
            makes="tflite",
            mode="float16",
        ),
        "export-openvino": StepEntry(
            "compress.steps.export_openvino:ExportOpenvino",
            "a checkpoint to OpenVINO, float32, dynamic batch and length",
            extra="openvino",
            takes="huggingface",
            makes="openvino",
        ),
        "export-onnx-openvino": StepEntry(
            "compress.steps.export_onnx_openvino:ExportOnnxOpenvino",
            "a float ONNX file to OpenVINO",
            extra="openvino",
            takes="onnx",
            makes="openvino",
        ),
        "quantize-openvino-static": StepEntry(
            "compress.steps.quantize_openvino_static:QuantizeOpenvinoStatic",
            "INT8 weights and activations, ranges measured on calibration data",
            extra="openvino",
            takes="openvino",
            makes="openvino",
            mode="static",
        ),
        "quantize-openvino-weight-only": StepEntry(
            "compress.steps.quantize_openvino_weights:QuantizeOpenvinoWeightOnly",
            "INT8 weights, computing in float",
            extra="openvino",
            takes="openvino",
            makes="openvino",
            mode="weight-only",
        ),
        "distill": StepEntry(
            "compress.steps.distill:Distill",
            "a checkpoint trained to answer as a larger one does",
            extra="torch",
            takes="huggingface",
            makes="huggingface",
        ),
        "prune-encoder": StepEntry(
            "compress.steps.prune_encoder:PruneEncoder",
            "fewer attention heads and narrower feed-forward networks, chosen on data",
            extra="torch",
            takes="huggingface",
            makes="huggingface",
        ),
        "prune-to-speed": StepEntry(
            "compress.steps.prune_to_speed:PruneToSpeed",
            "a transformer with so few heads and neurons that a runtime is as fast as asked",
            extra="torch",
            takes="huggingface",
            makes="huggingface",
        ),
        "prune-channels": StepEntry(
            "compress.steps.prune_channels:PruneChannels",
            "fewer channels in convolutional networks, chosen on data",
            extra="torch",
            takes="huggingface",
            makes="huggingface",
        ),
        "drop-layers": StepEntry(
            "compress.steps.drop_layers:DropLayers",
            "fewer encoder layers, chosen on data",
            extra="torch",
            takes="huggingface",
            makes="huggingface",
        ),
        "trim-vocabulary": StepEntry(
            "compress.steps.trim_vocabulary:TrimVocabulary",
            "a smaller vocabulary and embedding table, of the tokens that texts need",
            extra="torch",
            takes="huggingface",
            makes="huggingface",
        ),
        "quantize-openvino-float16": StepEntry(
            "compress.steps.quantize_openvino_weights:QuantizeOpenvinoFloat16",
            "float16 weights, computing in float32",
            extra="openvino",
            takes="openvino",
            makes="openvino",
            mode="float16",
        ),
    },
)

FORMATS = tuple(dict.fromkeys(entry.makes for entry in STEPS.entries.values() if entry.makes != entry.takes))
"""What models are exported to."""
