"""Runtimes: what executes a model file. A runtime knows tensors and nothing of tasks.

To add one: a file beside this one with a class like `OnnxRuntime`, and a line here.
"""

from ftc.errors import InputError, MissingExtra
from ftc.quiet import quiet_libraries
from ftc.registry import Entry, Registry

RUNTIMES = Registry(
    "runtime",
    {
        "keras": Entry("ftc.runtimes.keras_session:KerasSession", "Keras on TensorFlow", extra="keras"),
        "torch": Entry("ftc.runtimes.torch_eager:TorchEager", "PyTorch, eager mode", extra="torch"),
        "onnxruntime": Entry("ftc.runtimes.onnx_runtime:OnnxRuntime", "ONNX Runtime on the CPU", extra="onnx"),
        "litert": Entry("ftc.runtimes.litert:LiteRt", "LiteRT (TFLite) with XNNPACK on the CPU", extra="tflite"),
        "openvino": Entry("ftc.runtimes.openvino_runtime:OpenVinoRuntime", "OpenVINO on the CPU", extra="openvino"),
    },
)

GPU_RUNTIMES = Registry(
    "runtime with GPUs",
    {
        "torch": Entry("ftc.runtimes.torch_cuda:TorchCuda", "PyTorch on an NVIDIA GPU", extra="torch"),
        "onnxruntime": Entry("ftc.runtimes.onnx_cuda:OnnxCuda", "ONNX Runtime's CUDA and TensorRT", extra="onnx"),
    },
)
"""By the same names, what executes them on a GPU; others have none. `check_available` raises where it has no GPU."""


def why_not_on_gpu(runtime: str) -> str | None:
    """Why a runtime cannot use a GPU here; None if it can."""
    if runtime not in GPU_RUNTIMES:
        return f"{runtime} computes on the CPU alone"
    try:
        with quiet_libraries():  # which have warnings of their own for a driver that is too old
            GPU_RUNTIMES.load(runtime).check_available()
    except (InputError, MissingExtra) as error:
        return str(error)
    return None
