"""Options that steps offer by name, apart from the steps so that the command line can list them at once."""

from enum import StrEnum


class Graph(StrEnum):
    """Which ONNX graph is written.

    FUSED uses ONNX Runtime's own operators for attention and GELU; PLAIN only standard ones, for other runtimes.
    """

    FUSED = "fused"
    PLAIN = "plain"


class Method(StrEnum):
    """How the observed values of a tensor become the range that its 8 bits cover."""

    MINMAX = "minmax"
    PERCENTILE = "percentile"
    ENTROPY = "entropy"


class Precision(StrEnum):
    """What OpenVINO computes in, whatever the weights are stored as.

    BF16 is faster on processors with AMX, and changes outputs a little.
    """

    F32 = "f32"
    BF16 = "bf16"


class Hint(StrEnum):
    """What OpenVINO plans for.

    LATENCY gives one row every core; THROUGHPUT runs the rows of a batch side by side, each on a part of them.
    """

    LATENCY = "latency"
    THROUGHPUT = "throughput"


class Preset(StrEnum):
    """How NNCF lays the INT8 ranges of activations.

    PERFORMANCE makes them symmetric around zero; MIXED gives those that are not symmetric a zero point.
    """

    PERFORMANCE = "performance"
    MIXED = "mixed"


class Runtime(StrEnum):
    """What runs a network that is pruned for speed."""

    ONNXRUNTIME = "onnxruntime"
    LITERT = "litert"
    OPENVINO = "openvino"
    TORCH = "torch"


class Decay(StrEnum):
    """How the learning rate falls after its highest point, to nothing at the end."""

    LINEAR = "linear"
    COSINE = "cosine"


class TrainingPrecision(StrEnum):
    """What products are computed in while training; weights and sums stay in float32.

    BFLOAT16 is faster on processors with AMX or AVX512-BF16 and on GPUs.
    """

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class Importance(StrEnum):
    """What tells a channel of a convolutional network that matters from one that does not.

    HESSIAN is how much the answers change without it, squared; TAYLOR how much the loss does; MAGNITUDE the size of its
    weights, without data.
    """

    HESSIAN = "hessian"
    TAYLOR = "taylor"
    MAGNITUDE = "magnitude"
