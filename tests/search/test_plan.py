"""Plans: what is tried of a checkpoint, and the shapes that a latency table promises a speed for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.choices import Graph, Importance, Runtime
from ftc.artifact import Artifact
from ftc.errors import InputError
from ftc.search import plan
from ftc.search.bounds import Bounds
from ftc.search.links import Chain, key, link
from ftc.search.plan import REFERENCE
from ftc.search.request import Effort, Objective, Request, Target
from ftc.search.speeds import LEAST_KEEP, Table


def tried(root: Artifact, **asked: object) -> list[str]:
    return [key(chain) for chain in plan.post_training(root, Request(**asked))[0]]


def test_of_a_text_model_every_runtime_is_tried_the_quickly_built_first(text_root: Artifact) -> None:
    names = tried(text_root)
    assert names[0] == key(REFERENCE)
    assert names[1] == "export --to onnx | quantize --mode dynamic --to onnx"
    assert "export --to onnx | quantize --mode static --to onnx" in names
    assert not any("float16" in name for name in names), "smaller, but no faster"


def test_a_quick_search_of_texts_has_one_form_that_is_soon_made(text_root: Artifact, image_root: Artifact) -> None:
    names = tried(text_root, effort=Effort.QUICK)
    assert names == [key(REFERENCE), "export --to onnx | quantize --mode dynamic --to onnx"]
    _, skipped = plan.post_training(text_root, Request(effort=Effort.QUICK))
    assert any("--preset balanced" in one.why for one in skipped)
    assert tried(image_root, effort=Effort.QUICK) == tried(image_root)


def test_for_size_smaller_weights_are_tried_as_well(text_root: Artifact) -> None:
    assert any("float16" in name for name in tried(text_root, objective=Objective.SIZE))


def test_a_convolutional_model_is_not_quantized_dynamically(image_root: Artifact) -> None:
    chains, skipped = plan.post_training(image_root, Request())
    assert not any("dynamic" in key(chain) for chain in chains)
    assert any("dynamic" in one.what and "slower" in one.why for one in skipped)


def test_forms_that_a_recipe_names_are_tried_and_no_others(text_root: Artifact) -> None:
    asked = Bounds((("onnx", "dynamic"), ("tflite", "static")))
    for effort in (Effort.QUICK, Effort.BALANCED):
        chains, skipped = plan.post_training(text_root, Request(effort=effort), asked)
        assert [key(chain).rpartition(" | ")[2] for chain in chains] == [
            "export --to onnx",
            "quantize --mode dynamic --to onnx",
            "quantize --mode static --to tflite",
        ]
        assert skipped == ()


def test_forms_that_nothing_makes_are_refused(text_root: Artifact) -> None:
    with pytest.raises(
        InputError, match=r"nothing makes a tiny quantization to onnx of huggingface; there are .*static to"
    ):
        plan.post_training(text_root, Request(), Bounds((("onnx", "tiny"),)))


ONNX = link("export", to="onnx")
DYNAMIC = link("quantize", to="onnx", mode="dynamic")


@pytest.mark.parametrize(
    ("chain", "said"),
    [
        ((link("prune", keep=1.5), ONNX), "--keep 1.5: give the part of the encoder that stays"),
        ((link("prune", keep=0.5, layers=1), ONNX), "--layers and --keep are two cuts"),
        ((link("prune", keep=0.5, importance=Importance.TAYLOR), ONNX), "--importance is no option of prune-encoder"),
        ((link("prune", target_speedup=0.5), ONNX), "--target-speedup 0.5: give how many times as fast"),
        ((link("distill", alpha=2.0), ONNX), "--alpha 2: give the weight"),
        ((link("distill", evaluations=0), ONNX), "--evaluations 0"),
        ((ONNX, link("quantize", to="onnx", mode="static", rows=0)), "--rows 0: give at least one"),
        ((link("export", to="onnx", lengths=(8,)),), "--lengths is no option of export-onnx"),
        ((ONNX, link("prune", keep=0.5)), "prune takes a Hugging Face checkpoint, and this is onnx"),
        ((ONNX, link("distill"), DYNAMIC), "distill takes a Hugging Face checkpoint, and this is onnx"),
        ((ONNX, ONNX), "it is onnx already"),
        ((DYNAMIC, DYNAMIC), "quantize comes after quantize, which must come last"),
        ((DYNAMIC, link("export", to="openvino")), "export comes after quantize"),
    ],
)
def test_a_candidate_whose_step_would_refuse_it_is_refused_before_anything_is_built(
    text_root: Artifact, chain: Chain, said: str
) -> None:
    with pytest.raises(InputError, match=f"candidate 2: {said}"):
        plan.check(text_root, chain, Request(), "candidate 2")


def test_convolutions_are_not_quantized_dynamically_by_a_recipe_either(image_root: Artifact) -> None:
    with pytest.raises(InputError, match=r"candidate 1: .*convolutions run slower in dynamic INT8"):
        plan.check(image_root, (DYNAMIC,), Request(), "candidate 1")


def test_keras_models_are_not_pruned_by_a_recipe_either(keras_root: Artifact) -> None:
    with pytest.raises(InputError, match="candidate 1: prune takes a Hugging Face checkpoint, and this is keras"):
        plan.check(keras_root, (link("prune", keep=0.5),), Request(), "candidate 1")


def test_what_steps_take_passes(text_root: Artifact) -> None:
    cut = link("prune", keep=0.5, rows=64)
    for chain in (
        (cut, link("distill", time_budget_s=60.0, alpha=0.5), link("quantize", to="onnx", mode="dynamic")),
        (link("prune", vocabulary=True), link("prune", layers=1), link("export", to="onnx", graph=Graph.PLAIN)),
        (link("prune", target_speedup=2.0, runtime=Runtime.ONNXRUNTIME), ONNX),
    ):
        plan.check(text_root, chain, Request(), "candidate 1")


def test_an_edge_device_runs_tflite_alone(text_root: Artifact) -> None:
    pytest.importorskip("litert_torch", reason="TFLite exports need pip install -c constraints.txt -e '.[tflite]'")
    assert {name.rpartition(" ")[2] for name in tried(text_root, target=Target.EDGE)[1:]} == {"tflite"}


@given(
    rest=st.floats(0.0, 0.3),
    overhead=st.floats(0.0, 0.05),
    layers=st.integers(2, 24),
    heads=st.integers(1, 16),
    neurons=st.integers(8, 4096),
    effort=st.sampled_from(list(Effort)),
)
def test_shapes_reach_their_tier_and_no_shape_is_the_whole(
    rest: float, overhead: float, layers: int, heads: int, neurons: int, effort: Effort
) -> None:
    left = 1 - rest - layers * overhead
    if left <= 0.1:
        return
    head, neuron = left / 2 / (layers * heads), left / 2 / (layers * neurons)
    table = Table(rest, overhead, head, neuron, ((heads, neurons),) * layers)
    assert table.speedup(layers, 1.0) == pytest.approx(1.0)
    for tier in plan.TIERS[effort]:
        for depth in plan.DEPTHS[effort]:
            shape = table.shape(tier, depth)
            if shape is None:
                continue
            told = {name: value for link in shape.chain for name, value in link.options}
            kept = float(told.get("keep", 1.0))
            assert shape.chain
            assert LEAST_KEEP <= kept <= 1
            assert shape.speedup == table.speedup(int(told.get("layers", layers)), kept)
            assert shape.speedup >= 0.93 * tier or kept == LEAST_KEEP


def test_layers_that_are_left_whole_have_their_own_speed_whatever_was_asked_for() -> None:
    table = Table(0.1, 0.0, 0.0, 0.9 / 12 / 1000, ((8, 1000),) * 12)
    half = table.shape(1.4, 1 / 2)
    assert half is not None
    assert key(half.chain) == "prune --layers 6"
    assert half.speedup == pytest.approx(1 / 0.55)
    assert table.shape(1.8, 1 / 2) == half
