"""Loading a Keras model's network with TensorFlow: whole, finite, and without running code that came with it."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftc.errors import InputError, first_line
from ftc.keras.files import check
from ftc.keras.operators import check_operators

if TYPE_CHECKING:
    import tensorflow as tf

UNREADABLE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What Keras and TensorFlow raise on descriptions and weights that make no sense."""

_NO_PARAMETERS = re.compile(r"moving_(mean|variance)|seed_generator|(^|/)count(:0)?$")
"""Names of variables that are statistics or state, and no trained values."""

_SERVING = "serving_default"
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_PASSED_ON = frozenset({"Identity", "Cast", "Reshape", "Squeeze", "NoOp"})
_ENDS = frozenset({"Softmax", "Sigmoid"})
_COUNTED = frozenset(
    {"Conv2D", "Conv3D", "DepthwiseConv2dNative", "Conv2DBackpropInput", "MatMul", "BatchMatMulV2", "Einsum"}
)
_UNCOUNTED = frozenset({"While", "StatelessWhile", "If", "StatelessIf", "XlaConvV2", "XlaDotV2", *_CALLS})


@dataclass(frozen=True, slots=True)
class Network:
    """A model as one function of one tensor, for inference.

    :param input: name of its input
    :param shape: of one row of the input, None where the model leaves a size open
    :param dtype: of the input, by TensorFlow's name
    :param call: input (batch, *shape) to output (batch, classes)
    :param variables: everything it has learned, and what else it keeps
    :param holder: what must stay alive as long as `call`
    """

    input: str
    shape: tuple[int | None, ...]
    dtype: str
    call: Callable[[tf.Tensor], tf.Tensor]
    variables: tuple[tf.Variable, ...]
    holder: Any

    def function(self, output: str, shape: tuple[int | None, ...]) -> Any:
        """A concrete TensorFlow function that takes and returns float32 tensors by their names.

        :param output: the name to give to what it returns
        :param shape: of the input, batch first; None for what stays open
        """
        import tensorflow as tf

        def named(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            values = tf.cast(inputs[self.input], self.dtype)
            return {output: tf.cast(self.call(values), tf.float32)}

        spec = tf.TensorSpec(shape, tf.float32, name=self.input)
        return tf.function(named, autograph=False).get_concrete_function(**{self.input: spec})


def import_tensorflow() -> None:
    """Import TensorFlow, and Keras upon it, for the CPU alone.

    :raises InputError: if Keras runs on another backend in this process already
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras
    import tensorflow as tf

    # or the first operation takes all the memory of a GPU
    tf.config.set_visible_devices([], "GPU")
    if keras.backend.backend() != "tensorflow":
        raise InputError(f"Keras runs on {keras.backend.backend()} in this process; Keras models need TensorFlow.")


def load_network(path: Path) -> Network:
    """Load a model for inference, checked for not-a-number weights.

    :raises InputError: if it is damaged or incomplete, needs code of its own, has several inputs or outputs, or
        a weight is NaN or infinite
    """
    check(path)
    import_tensorflow()
    network = _of_saved_model(path) if path.is_dir() else _of_file(path)
    _check_finite(path, network)
    return network


def _of_file(path: Path) -> Network:
    import keras
    import tensorflow as tf

    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except (*UNREADABLE, tf.errors.OpError) as error:
        raise InputError(f"{path}: Keras cannot load it: {first_line(error)}") from error
    if not model.built or not hasattr(model, "inputs") or model.inputs is None:
        raise InputError(
            f"{path} does not say what it takes (a {type(model).__name__}, never called). "
            "Call it on a batch once, or give it an Input, and save it again."
        )
    _check_single(path, "inputs", [tensor.name for tensor in model.inputs])
    _check_single(path, "outputs", [tensor.name for tensor in model.outputs])
    entry, exit_ = model.inputs[0], model.outputs[0]
    _check_output(path, tuple(exit_.shape))
    # a Sequential has one input, and its `input` fails after loading
    structure = None if isinstance(model, keras.Sequential) else model.input

    def call(values: tf.Tensor) -> tf.Tensor:
        answer = model(_packed(structure, values), training=False)
        return next(iter(answer.values())) if isinstance(answer, dict) else _only(answer)

    variables = tuple(variable.value for variable in model.weights)
    return Network(_identifier(entry.name), tuple(entry.shape[1:]), entry.dtype, call, variables, model)


def _packed(structure: Any, values: Any) -> Any:
    if isinstance(structure, dict):
        return dict.fromkeys(structure, values)
    return [values] if isinstance(structure, list) else values


def _only(answer: Any) -> Any:
    return answer[0] if isinstance(answer, list | tuple) else answer


def _of_saved_model(path: Path) -> Network:
    import tensorflow as tf

    check_operators(path, _SERVING)
    try:
        loaded = tf.saved_model.load(str(path))
    except (*UNREADABLE, tf.errors.OpError) as error:
        raise InputError(f"{path}: TensorFlow cannot load it: {first_line(error)}") from error
    signatures = dict(loaded.signatures)
    if _SERVING not in signatures:
        raise InputError(
            f"{path} has no signature {_SERVING!r} (it has: {', '.join(signatures) or 'none'}). "
            "Save it for inference: model.export('directory')."
        )
    signature = signatures[_SERVING]
    inputs = signature.structured_input_signature[1]
    _check_single(path, "inputs", list(inputs))
    _check_single(path, "outputs", list(signature.structured_outputs))
    (name, spec), output = next(iter(inputs.items())), next(iter(signature.structured_outputs))
    if spec.shape.rank is None or signature.structured_outputs[output].shape.rank is None:
        raise InputError(f"{path}: the signature {_SERVING!r} does not say its shapes. Save it with an input shape.")
    if spec.shape[0] is not None:
        raise InputError(
            f"{path}: the signature {_SERVING!r} takes batches of {spec.shape[0]} only. "
            "Save it with an open batch size: a first dimension of None."
        )
    _check_output(path, tuple(signature.structured_outputs[output].shape))

    def call(values: tf.Tensor) -> tf.Tensor:
        return signature(**{name: values})[output]

    variables = tuple(signature.variables)
    return Network(name, tuple(spec.shape[1:]), spec.dtype.name, call, variables, loaded)


def _check_single(path: Path, what: str, names: list[str]) -> None:
    if len(names) != 1:
        raise InputError(
            f"{path} has {len(names)} {what} ({', '.join(names[:6])}); ftc takes models of one image in and one row "
            "of scores out. Save a model with the one that matters."
        )


def _check_output(path: Path, shape: tuple[int | None, ...]) -> None:
    if len(shape) != 2 or shape[1] is None:
        raise InputError(
            f"{path} gives an output of shape {shape}; a classifier gives one row of scores for each image, "
            "(batch, classes). If the head is missing, give the model with its head."
        )
    if shape[1] == 1:
        raise InputError(
            f"{path} has a single output unit (binary classification or regression), which ftc does not read yet. "
            "Replace it by two units and a softmax: logits (0, z) say the same as a sigmoid of z."
        )


def _check_finite(path: Path, network: Network) -> None:
    import numpy as np

    for variable in network.variables:
        if variable.dtype.is_floating and not np.isfinite(variable.numpy().astype(np.float32, copy=False)).all():
            raise InputError(f"{path}: weight {variable.name!r} holds NaN or infinite values; the training diverged.")


def _identifier(name: str) -> str:
    # names of tensors become names of arguments and of graph nodes in what is exported
    return re.sub(r"\W", "_", name)


@dataclass(frozen=True, slots=True)
class Anatomy:
    """What the graph of a network shows.

    :param classes: width of its output
    :param ends_in: ``"Softmax"`` or ``"Sigmoid"``, None if in neither
    :param parameters: trained values
    :param multiply_accumulates: of one row; None if an operator cannot be counted
    :param convolution_share: the part (0-1) of them that convolutions do
    """

    classes: int
    ends_in: str | None
    parameters: int
    multiply_accumulates: int | None
    convolution_share: float | None


def anatomy(network: Network, shape: tuple[int, ...]) -> Anatomy:
    """Look at the graph of a network for one row of the given shape."""
    function = network.function("output", (1, *shape))
    operations = function.graph.get_operations()
    if any(operation.type in _CALLS for operation in operations):
        from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

        function = convert_variables_to_constants_v2(function)  # puts called functions in the place of their calls
        operations = function.graph.get_operations()
    output = function.outputs[0]
    counts: Counter[str] = Counter()
    countable = True
    for operation in operations:
        counted = _multiply_accumulates(operation)
        if counted is None:
            countable = False
        else:
            counts[operation.type] += counted
    total = sum(counts.values())
    convolutions = sum(count for kind, count in counts.items() if "Conv" in kind)
    parameters = sum(
        int(variable.shape.num_elements())
        for variable in network.variables
        if variable.dtype.is_floating and not _NO_PARAMETERS.search(variable.name)
    )
    return Anatomy(
        classes=int(output.shape[1]),
        ends_in=_end(output.op),
        parameters=parameters,
        multiply_accumulates=total if countable and total else None,
        convolution_share=convolutions / total if countable and total else None,
    )


def _end(operation: Any) -> str | None:
    while operation.type in _PASSED_ON and operation.inputs:
        operation = operation.inputs[0].op
    return operation.type if operation.type in _ENDS else None


def _multiply_accumulates(operation: Any) -> int | None:
    """Of one operator on known shapes: 0 for those without products of two tensors, None where sizes are not known."""
    kind = operation.type
    if kind not in _COUNTED and kind not in _UNCOUNTED:
        return 0
    sizes = [tensor.shape.num_elements() for tensor in (*operation.inputs, *operation.outputs)]
    if kind in _UNCOUNTED or None in sizes:
        return None
    first, second, result = operation.inputs[0].shape, operation.inputs[1].shape, sizes[-1]
    match kind:
        case "Conv2D" | "Conv3D":
            # kernels are (*spatial, channels in, channels out)
            return int(result * second[:-1].num_elements())
        case "DepthwiseConv2dNative":
            return int(result * second[0] * second[1])
        case "Conv2DBackpropInput":
            # a transposed convolution: every value that comes in meets (height, width, channels out) of the kernel
            return int(sizes[2] * second[0] * second[1] * second[2])
        case "Einsum":
            return _of_einsum(operation)
    inner = first[-2] if operation.get_attr("transpose_a" if kind == "MatMul" else "adj_x") else first[-1]
    return int(result * inner)


def _of_einsum(operation: Any) -> int | None:
    letters, _, _ = operation.get_attr("equation").decode().partition("->")
    sizes: dict[str, int] = {}
    for term, tensor in zip(letters.split(","), operation.inputs, strict=True):
        if "." in term:
            return None
        sizes.update(zip(term, tensor.shape.as_list(), strict=True))
    product = 1
    for size in sizes.values():
        product *= size
    return product
