"""Runtimes: what executes a model file. A runtime knows tensors and nothing of tasks.

To add one: a file beside this one with a class like `OnnxRuntime`, and a line here.
"""

from ftc.registry import Entry, Registry

RUNTIMES = Registry(
    "runtime",
    {
        "torch": Entry("ftc.runtimes.torch_eager:TorchEager", "PyTorch, eager mode", extra="torch"),
        "onnxruntime": Entry("ftc.runtimes.onnx_runtime:OnnxRuntime", "ONNX Runtime on the CPU", extra="onnx"),
    },
)
