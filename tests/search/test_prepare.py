"""Searches before they begin: which earlier one they go on with, and what is refused before anything is built."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.results import held
from ftc import machine
from ftc.data import Columns
from ftc.errors import InputError
from ftc.search import building, optimize, plan
from ftc.search import prepare as module
from ftc.search.bounds import Bounds
from ftc.search.journal import Ended
from ftc.search.links import key, link
from ftc.search.parts import Source
from ftc.search.request import Request, Target
from tests.conftest import IMAGE_LABELS, WORDS
from tests.search import made
from tests.search.made import DYNAMIC, Idle

Prepare = Callable[..., module.Planned]


def lines(count: int, seed: int) -> list[str]:
    drawn = random.Random(seed)
    return [f"{' '.join(drawn.choices(WORDS, k=8))}\t{n % 2}" for n in range(count)]


def written(path: Path, rows: Sequence[str]) -> Path:
    path.write_text("\n".join(["sentence\tlabel", *rows]) + "\n")
    return path


@pytest.fixture
def prepare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prepare:
    """`prepare` of a checkpoint that nothing can open, with 200 rows and 50 others."""
    monkeypatch.setattr(module, "open_any", lambda path, _declared: made.root(path))
    given: dict[str, Any] = {
        "final": written(tmp_path / "final.tsv", lines(50, 1)),
        "artifacts": tmp_path / "made",
        "recipe": (DYNAMIC,),
    }
    data = written(tmp_path / "data.tsv", lines(200, 0))
    (tmp_path / "ckpt").mkdir()
    return lambda **change: module.prepare(tmp_path / "ckpt", **{"data": data, **given, **change})


def test_another_processor_or_library_is_another_search(prepare: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    here = prepare().search
    assert prepare().search == here
    assert prepare(request=Request(threads=7)).search != here
    processor = replace(machine.processor(), model="another processor")
    with monkeypatch.context() as other:
        other.setattr(machine, "processor", lambda: processor)
        assert prepare().search != here
    monkeypatch.setattr("compress.apply.versions", lambda: {"onnxruntime": "0.1"})
    assert prepare().search != here


def test_what_a_recipe_holds_a_search_to_makes_it_another(prepare: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "post_training", lambda *_: ((plan.REFERENCE, DYNAMIC), ()))
    found = [prepare(recipe=recipe) for recipe in ((DYNAMIC,), (), Bounds(distill=False), Bounds(prune=False))]
    assert len({key(chain) for one in found for chain in one.chains}) == 2, "all of them try the same first"
    assert len({one.search for one in found}) == 4
    assert [one.is_fixed for one in found] == [True, False, False, False]


def test_a_checkpoint_trained_anew_and_other_libraries_have_places_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop = Idle(made.root(tmp_path))
    search = made.search(tmp_path, Request(), (DYNAMIC,), workshop=workshop)
    search.building.make([DYNAMIC])
    again = replace(search.planned.root, manifest=replace(search.planned.root.manifest, id="id-of-another"))
    made.search(tmp_path / "again", Request(), (DYNAMIC,), workshop=workshop, root=again).building.make([DYNAMIC])
    monkeypatch.setattr(building, "versions", lambda: {"onnxruntime": "0.1"})
    made.search(tmp_path / "anew", Request(), (DYNAMIC,), workshop=workshop).building.make([DYNAMIC])
    assert len({Path(place).name for place in workshop.places}) == len(workshop.places) == 6


def test_a_search_that_was_measured_again_ended_the_last_time(tmp_path: Path) -> None:
    store = made.search(tmp_path, Request(), (DYNAMIC,)).store
    for run in ("1", "2"):
        store.journal.add(Ended(run, None, "measured", 1.0, 1.0))
    ended = store.ended()
    assert ended is not None
    assert ended.run == "2"


def test_rows_that_are_left_of_the_same_data_are_told_apart(tmp_path: Path) -> None:
    data = lines(300, 2)
    tuning = []
    for name, judges in (("a", data[:50]), ("b", data[50:100])):
        source = Source(
            str(written(tmp_path / "data.tsv", data)),
            Columns(),
            apart_from=str(written(tmp_path / f"{name}.tsv", judges)),
        )
        tuning.append(source.parts(made.root(tmp_path)).tuning)
    assert set(tuning[0].examples) != set(tuning[1].examples)
    assert tuning[0].fingerprint != tuning[1].fingerprint


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"recipe": ((link("export", to="nowhere"),),)},
            "candidate 1 of the recipe, export --to nowhere: nothing makes",
        ),
        (
            {"recipe": ((link("quantize", to="onnx", mode="tiny"),),)},
            "candidate 1 of the recipe, .* no tiny quantization to onnx",
        ),
        ({"request": Request(target=Target.EDGE)}, "candidate 1 of the recipe, .*: --target edge runs TFLite alone"),
    ],
)
def test_a_recipe_that_leads_nowhere_is_refused(prepare: Prepare, change: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        prepare(**change)


def test_few_rows_are_said_to_tell_little(prepare: Prepare, capsys: pytest.CaptureFixture[str]) -> None:
    prepare()
    told = capsys.readouterr().err
    assert "data.tsv judge, a tenth of all: one of them weighs 5.0 points" in told
    assert "final.tsv give the final score: one of them weighs 2.0 points" in told
    assert told.count("final.tsv: text = ") == 1, "what was read once is told once"


def test_splits_are_of_the_data_they_are_named_for(prepare: Prepare, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="saved data sets need pip install -e '.[data]'")
    splits = {"train": 200, "test": 60}
    datasets.DatasetDict(
        {
            name: datasets.Dataset.from_dict(
                {"text": [row.split("\t")[0] for row in lines(count, count)], "label": [n % 2 for n in range(count)]}
            )
            for name, count in splits.items()
        }
    ).save_to_disk(str(tmp_path / "saved"))
    assert len(prepare(data=tmp_path / "saved", split="train").final) == 50
    both = prepare(data=tmp_path / "saved", split="train", final=tmp_path / "saved", final_split="test")
    assert len(both.final) == 60
    again = Source.of(json.loads(json.dumps(both.source.told())))
    assert again.parts(made.root(tmp_path)).tuning.fingerprint == both.parts.tuning.fingerprint
    with pytest.raises(InputError, match="must come from rows that tuned nothing"):
        prepare(data=tmp_path / "saved", split="test", final=tmp_path / "saved", final_split="test")


def test_the_same_images_in_two_files_do_not_tune_and_score(
    prepare: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (120, 4, 4, 3), np.uint8)
    for name in ("one.npz", "two.npz"):
        np.savez(tmp_path / name, x=images, y=np.arange(120) % len(IMAGE_LABELS))
    of_images = {"task": "image-classification", "labels": IMAGE_LABELS}
    monkeypatch.setattr(
        module,
        "open_any",
        lambda path, _: replace(root := made.root(path), manifest=replace(root.manifest, **of_images)),
    )
    with pytest.raises(InputError, match="hold the same rows"):
        prepare(data=tmp_path / "one.npz", final=tmp_path / "two.npz")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"mine": 1}', r"bench\.jsonl is there and is no results file"),
        ('{"run":"0123456789abcdef","schema":99,"kind":"begun"}', r"bench\.jsonl, line 1: not a result this version"),
    ],
)
def test_results_that_could_not_be_kept_are_refused_before_anything_is_built(
    prepare: Prepare, tmp_path: Path, line: str, said: str
) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "bench.jsonl").write_text(f"{line}\n")
    with pytest.raises(InputError, match=said):
        prepare()


def test_one_search_at_a_time_works_in_a_directory(
    prepare: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[module.Planned] = []
    monkeypatch.setattr(optimize, "_searched", lambda planned, *_, **_options: searched.append(planned))
    asked: dict[str, Any] = {"data": tmp_path / "data.tsv", "artifacts": tmp_path / "made", "recipe": (DYNAMIC,)}
    with (
        held(tmp_path / "made" / "search" / "lock"),
        pytest.raises(InputError, match=r"another ftc optimize works in .*made: .* --artifacts"),
    ):
        optimize.optimize(tmp_path / "ckpt", **asked, force=True)
    assert searched == []
    optimize.optimize(tmp_path / "ckpt", **asked)
    assert len(searched) == 1
