"""In which forms smaller networks are tried."""

from __future__ import annotations

import pytest

from ftc.search.forms import Forms
from ftc.search.links import Chain, link

ONNX: Chain = (link("export", to="onnx"), link("quantize", to="onnx", mode="dynamic"))
STATIC: Chain = (link("export", to="onnx"), link("quantize", to="onnx", mode="static"))
TFLITE: Chain = (link("export", to="tflite"), link("quantize", to="tflite", mode="dynamic"))
SECONDS = {ONNX: 20.0, STATIC: 30.0, TFLITE: 100.0}


def forms(onnx: float, static: float, tflite: float, unsure: float = 0.1) -> Forms:
    """:param unsure: by how much less than was measured each may be"""
    ratios = {ONNX: onnx, STATIC: static, TFLITE: tflite}
    return Forms(ratios, {form: ratio - unsure for form, ratio in ratios.items()}, SECONDS.__getitem__)


@pytest.mark.parametrize(
    ("budget_s", "chosen"),
    [(1200.0, TFLITE), (240.0, ONNX), (60.0, ONNX)],
    ids=["there is time for the fastest", "only for the next", "for none"],
)
def test_the_fastest_that_the_time_affords(budget_s: float, chosen: Chain) -> None:
    assert forms(2.8, 2.7, 3.1).affordable(budget_s) == (chosen,)


def test_what_is_not_shown_to_be_faster_is_not_worth_its_time() -> None:
    assert forms(2.8, 2.7, 3.1, unsure=0.2).affordable(1200.0) == (TFLITE,)
    assert forms(2.8, 2.7, 3.1, unsure=0.4).affordable(1200.0) == (ONNX,)


def test_what_is_slower_is_not_taken_for_being_made_sooner() -> None:
    assert forms(2.0, 1.8, 3.1).affordable(60.0) == (TFLITE,)
    assert forms(2.0, 1.8, 3.1).soonest() == (TFLITE,)


def test_two_forms_are_of_different_formats() -> None:
    assert forms(3.1, 3.0, 2.9).of_formats() == (ONNX, TFLITE)
    assert forms(3.1, 3.0, 2.0).of_formats() == (ONNX,)


def test_of_nothing_nothing_is_chosen() -> None:
    nothing = Forms({}, {}, SECONDS.__getitem__)
    assert (nothing.affordable(60.0), nothing.of_formats(), nothing.soonest()) == ((), (), ())
