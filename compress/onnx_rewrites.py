"""Rewrites of a fused ONNX graph that make ONNX Runtime's CPU kernels faster, each proven to change nothing.

Measured on a 6-layer, 384-wide BERT at 128 tokens, AVX512-VNNI, 2 threads, ratios within one run:

- `SkipLayerNormalization` takes four times as long as `Add` followed by `LayerNormalization` (float graph 1.09x
  faster without it, INT8 graph 1.3x).
- `Attention` with a plain mask input can become `QAttention`, which with a bias input it cannot: without this the
  quantizer leaves three of six weight matrices of every layer in float.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from onnx_ir.passes.common import ClearMetadataAndDocStringPass, RemoveUnusedNodesPass

MICROSOFT = "com.microsoft"
KEEP_UNFUSED = {"optimization.disable_specified_optimizers": "SkipLayerNormFusion"}
"""Session setting without which ONNX Runtime fuses `Add` and `LayerNormalization` again when it loads the file."""


def for_cpu(model: ir.Model) -> None:
    """Apply all the rewrites to a graph fused for ONNX Runtime on the CPU, in place."""
    fold_constant_concats(model)
    use_plain_masks(model)
    split_skip_layer_norms(model)
    clean(model)


def clean(model: ir.Model) -> None:
    """Drop unused nodes, traces of the exporting machine and intermediate shapes, in place.

    Shapes recorded at export can contradict what the quantizer infers ("Inferred shape and existing shape differ").
    """
    RemoveUnusedNodesPass()(model)
    ClearMetadataAndDocStringPass()(model)
    outputs = set(model.graph.outputs)
    inner = [value for node in model.graph for value in node.outputs if value not in outputs]
    for value in (*inner, *model.graph.initializers.values()):
        value.shape, value.type = None, None


def fold_constant_concats(model: ir.Model) -> None:
    """Replace concatenations of weights (query, key and value side by side) by one weight, in place."""
    for node in list(model.graph):
        parts = [value.const_value if value is not None else None for value in node.inputs]
        if node.op_type != "Concat" or node.domain or any(part is None for part in parts):
            continue
        axis = node.attributes["axis"].as_int()
        folded = np.concatenate([part.numpy() for part in parts if part is not None], axis=axis)
        name = node.outputs[0].name
        weight = ir.Value(name=name, const_value=ir.tensor(folded, name=name))
        weight.shape, weight.dtype = ir.Shape(folded.shape), ir.DataType.from_numpy(folded.dtype)
        ir.convenience.replace_all_uses_with(node.outputs[0], weight)
        model.graph.remove(node, safe=True)
        model.graph.register_initializer(weight)


def use_plain_masks(model: ir.Model) -> None:
    """Feed `attention_mask` itself to `Attention` nodes where their additive bias says just the same, in place.

    The bias is computed for random masks and compared: 0 where the mask is 1, at most -10,000 where it is 0, for
    every query and head alike. Relative positions or causal masks do not pass and are left as they are.
    """
    graph = model.graph
    mask = next((value for value in graph.inputs if value.name == "attention_mask"), None)
    nodes = [node for node in graph if node.op_type == "Attention" and node.domain == MICROSOFT]
    if mask is None or not nodes:
        return
    as_int32: ir.Value | None = None
    verdicts: dict[ir.Value, bool] = {}
    for node in nodes:
        bias = node.inputs[5] if len(node.inputs) > 5 else None
        if bias is None or any(value is not None for value in node.inputs[3:5]):
            continue
        if bias not in verdicts:
            verdicts[bias] = _is_padding_bias(model, bias)
        sizes = node.attributes.get("qkv_hidden_sizes")
        if not verdicts[bias] or (sizes is not None and len(set(sizes.as_ints())) > 1):
            continue
        if as_int32 is None:
            cast = ir.node("Cast", [mask], {"to": int(ir.DataType.INT32)}, name="attention_mask_int32")
            graph.insert_before(graph[0], cast)
            as_int32 = cast.outputs[0]
            as_int32.name = "attention_mask_int32"
        attributes = {name: value for name, value in node.attributes.items() if name != "qkv_hidden_sizes"}
        plain = ir.node("Attention", [*node.inputs[:3], as_int32], attributes, domain=MICROSOFT, name=node.name)
        _replace(graph, node, [plain])


def split_skip_layer_norms(model: ir.Model) -> None:
    """Write every `SkipLayerNormalization` as `Add` and `LayerNormalization`, in place.

    Inputs are x, skip, scale, shift and an optional bias of x; the fourth output is the sum before normalizing
    (ONNX Runtime, contrib operators, SkipLayerNormalization).
    """
    for node in list(model.graph):
        if node.op_type != "SkipLayerNormalization" or any(value.uses() for value in node.outputs[1:3]):
            continue
        x, skip, scale, shift = node.inputs[:4]
        new = []
        if len(node.inputs) > 4 and node.inputs[4] is not None:
            new.append(ir.node("Add", [x, node.inputs[4]], name=f"{node.name}_bias"))
            x = new[-1].outputs[0]
        new.append(ir.node("Add", [x, skip], name=f"{node.name}_sum"))
        total = new[-1].outputs[0]
        epsilon = node.attributes["epsilon"].as_float() if "epsilon" in node.attributes else 1e-12
        new.append(
            ir.node(
                "LayerNormalization",
                [total, scale, shift],
                {"axis": -1, "epsilon": epsilon},
                name=f"{node.name}_norm",
            )
        )
        if len(node.outputs) > 3:
            ir.convenience.replace_all_uses_with(node.outputs[3], total)
        _replace(model.graph, node, new)


def _replace(graph: ir.Graph, old: ir.Node, new: list[ir.Node]) -> None:
    for node in new:
        for index, value in enumerate(node.outputs):
            value.name = f"{node.name}_{index}"
    result, final = old.outputs[0], new[-1].outputs[0]
    final.name = result.name
    graph.insert_before(old, new)
    ir.convenience.replace_all_uses_with(result, final, replace_graph_outputs=True)
    graph.remove(old, safe=True)


def _is_padding_bias(model: ir.Model, bias: ir.Value) -> bool:
    graph = ir.convenience.extract(model.graph, inputs=list(model.graph.inputs), outputs=[bias])
    part = ir.to_proto(ir.Model(graph, ir_version=model.ir_version))
    session = ort.InferenceSession(part.SerializeToString(), providers=["CPUExecutionProvider"])
    random = np.random.default_rng(0)
    for batch, length in ((3, 7), (2, 11)):
        mask = random.integers(0, 2, (batch, length))
        mask[:, 0] = 1
        feed = {
            entry.name: mask if entry.name == "attention_mask" else np.ones((batch, length), np.int64)
            for entry in session.get_inputs()
        }
        values = session.run(None, feed)[0]  # broadcastable to (B, heads, L, L)
        if values.ndim != 4 or values.shape[0] not in (1, batch) or values.shape[-1] != length:
            return False
        padded = np.broadcast_to(mask[:, None, None, :] == 0, np.broadcast_shapes(values.shape, (batch, 1, 1, length)))
        values = np.broadcast_to(values, padded.shape)
        if (values[~padded] != 0).any() or (values[padded] > -10_000).any():
            return False
    return True
