"""Recipes: what a TOML file says is what is built, and what it says wrongly is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftc.errors import InputError
from ftc.search import recipe
from ftc.search.bounds import Bounds
from ftc.search.links import key


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_candidates_are_chains_of_commands(tmp_path: Path) -> None:
    chains = recipe.read(
        written(
            tmp_path / "recipe.toml",
            """
            [[candidate]]
            quantize = {to = "onnx", mode = "dynamic"}

            [[candidate]]
            prune = [{layers = 4}, {keep = 0.5}]
            distill = {time_budget = "10m", alpha = 0.5}
            quantize = {to = "tflite", mode = "dynamic", lengths = [16, 32]}
            """,
        )
    )
    assert isinstance(chains, tuple)
    assert [key(chain) for chain in chains] == [
        "quantize --mode dynamic --to onnx",
        "prune --layers 4 | prune --keep 0.5 | distill --alpha 0.5 --time-budget 600s"
        " | quantize --lengths 16,32 --mode dynamic --to tflite",
    ]


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("distill = false", Bounds(None, True, False)),
        ("prune = false\nforms = [{to = 'tflite', mode = 'static'}]", Bounds((("tflite", "static"),), False, True)),
    ],
)
def test_a_search_can_be_held_to_a_part(tmp_path: Path, text: str, bounds: Bounds) -> None:
    assert recipe.read(written(tmp_path / "recipe.toml", f"[search]\n{text}\n")) == bounds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a recipe is a list of candidates"),
        ("candidate = 3", "a recipe is a list of candidates"),
        ("[[candidate]]\n[other]\nx = 1", "a recipe is a list of candidates"),
        ("[[candidate]]", "candidate 1 is empty"),
        ("[[candidate]]\nshrink = {keep = 0.5}", "'shrink' is none of export, prune, distill, quantize"),
        ("[[candidate]]\nquantize = {to = 'onnx'}", "quantize needs mode"),
        ("[[candidate]]\nexport = {to = 'onnx', keep = 1}", "export has no option 'keep'"),
        ("[[candidate]]\nexport = 'onnx'", "export takes a table of options"),
        ("[[candidate]]\nexport = {to = {a = 1}}", "export to = {'a': 1} is no text"),
        ("candidate = ['x']", "candidate 1 is 'x', no table"),
        ("[[candidate]]\nquantize = {to = 'onnx', mode = 'static', rows = 'many'}", "rows = 'many' is no whole number"),
        ("[[candidate]]\nprune = {keep = true}\nexport = {to = 'onnx'}", "keep = True is no number"),
        ("[[candidate]]\nexport = {to = 'tflite', lengths = [1.5]}", "is no list of whole numbers"),
        ("[[candidate]]\ndistill = {time_budget = 'soon'}\nexport = {to = 'onnx'}", "'soon' is no time"),
        ("[[candidate", "is no TOML"),
        ("[search]", "search says nothing"),
        ("search = 3", "search says nothing"),
        ("[search]\nkeep = 0.5", "search has no 'keep'; it has forms, prune and distill"),
        ("[search]\ndistill = 'no'", "distill = 'no' is no true or false"),
        ("[search]\nforms = []", "forms = [] is no list of formats and modes"),
        ("[search]\nforms = [{to = 'onnx'}]", "is no list of formats and modes"),
        (
            "[search]\nprune = false\n[[candidate]]\nexport = {to = 'onnx'}",
            "has both candidates.*leave one of them out",
        ),
        ("[[candidate]]\nexport = []", "candidate 1 is empty"),
        ("[[candidate]]\nexport = {to = 'onnx', graph = 'fast'}", "export graph = 'fast' is none of fused, plain"),
        ("[[candidate]]\nprune = {importance = 1}", "prune importance = 1 is none of hessian, taylor, magnitude"),
        ("[[candidate]]\ndistill = {hours = 1}", "it has alpha.*temperature, time_budget"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said.replace("[", r"\[")):
        recipe.read(written(tmp_path / "recipe.toml", text))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        recipe.read(tmp_path / "none.toml")
