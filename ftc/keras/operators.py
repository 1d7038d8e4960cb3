"""What a SavedModel would do when it is loaded and asked: nothing but arithmetic is let through.

A SavedModel is a program. Refusing the operators that are known to be harmful would leave the next one, so the ones
that are let through are those that keep no state, touch no strings, no data sets and no files.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftc.errors import InputError

if TYPE_CHECKING:
    from tensorflow.core.framework.node_def_pb2 import NodeDef
    from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef

_STATEFUL_BUT_HARMLESS = frozenset(
    {
        "If",
        "PartitionedCall",
        "ReadVariableOp",
        "ResourceGather",
        "StatefulPartitionedCall",
        "StatelessIf",
        "StatelessWhile",
        "VarHandleOp",
        "VarIsInitializedOp",
        "While",
    }
)
_STATELESS_BUT_REACHING = frozenset({"DebugIdentity", "ImmutableConst", "MatchingFiles", "PyFuncStateless", "ReadFile"})
_AT_LOADING = "__saved_model_init_op"


def check_operators(path: Path, serving: str) -> None:
    """Read a SavedModel as data, and refuse it if it could do more than compute.

    :param serving: the signature that will be asked
    :raises InputError: if it is damaged, or the signature or what runs at loading holds another operator
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    saved = SavedModel()
    try:
        saved.ParseFromString((path / "saved_model.pb").read_bytes())
    except DecodeError as error:
        raise InputError(f"{path / 'saved_model.pb'} is damaged or was copied in part: {error}.") from error
    for graph in saved.meta_graphs:
        if any(node.WhichOneof("kind") == "resource" for node in graph.object_graph_def.nodes):
            raise InputError(
                f"{path}: it creates tables or other resources when it is loaded; ftc does not run such models. "
                "Save the network alone, without its reading or decoding."
            )
        doing_more = [node for node in _reached(graph, serving) if not _computes(node)]
        if doing_more:
            # a constant text is only what one of the others is given
            node = next((node for node in doing_more if node.op != "Const"), doing_more[0])
            raise InputError(
                f"{path}: it contains the operator {node.op} ({node.name!r}), which does more than compute: it may "
                "run code or reach files. ftc does not run such models. Save the network alone, without its "
                "reading or decoding."
            )


def _reached(graph: MetaGraphDef, serving: str) -> Iterator[NodeDef]:
    """The nodes that a signature, or loading, leads to; what saves variables again is left out."""
    functions = {function.signature.name: function for function in graph.graph_def.library.function}
    nodes = {node.name: node for node in graph.graph_def.node}
    waiting = [
        tensor.name
        for name in (serving, _AT_LOADING)
        if name in graph.signature_def
        for tensor in graph.signature_def[name].outputs.values()
    ]
    seen: set[str] = set()
    called: set[str] = set()
    while waiting:
        name = waiting.pop().removeprefix("^").split(":")[0]
        if name in seen or name not in nodes:
            continue
        seen.add(name)
        yield nodes[name]
        waiting += nodes[name].input
        called |= _calls(nodes[name], functions)
    done: set[str] = set()
    while called - done:
        function = (called - done).pop()
        done.add(function)
        for node in functions[function].node_def:
            yield node
            called |= _calls(node, functions)


def _calls(node: NodeDef, functions: dict[str, Any]) -> set[str]:
    named = {node.op}
    for value in node.attr.values():
        named |= {value.func.name, *(function.name for function in value.list.func)}
    return named & functions.keys()


def _computes(node: NodeDef) -> bool:
    import tensorflow as tf
    from tensorflow.python.framework import op_def_registry

    if node.op in _STATEFUL_BUT_HARMLESS:
        return True
    operator = op_def_registry.get(node.op)
    if operator is None or operator.is_stateful or node.op.startswith(tuple(_STATELESS_BUT_REACHING)):
        return False
    refused = {tf.string.as_datatype_enum, tf.variant.as_datatype_enum}
    types = {argument.type for argument in (*operator.input_arg, *operator.output_arg)}
    types |= {kind for value in node.attr.values() for kind in (value.type, *value.list.type)}
    return not types & refused
