"""Settings from a measurement: what is given stays, what is not shown to be faster is not taken."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from bench.clients import request
from bench.intervals import ITSELF, Ratio
from bench.side_by_side import side_by_side
from ftc.artifact import Artifact
from ftc.runtimes.session import available_cores
from serve.bundle import Settings
from serve.model import threads_and_callers
from serve.tune import tune

pytestmark = pytest.mark.skipif(available_cores() < 2, reason="one core leaves nothing to choose")


@pytest.fixture(scope="module")
def asked(text_int8: Artifact) -> tuple[Settings, list[int]]:
    """What is chosen where workers are open alone, and two of them are twice as fast."""
    services: list[int] = []

    def compare(urls: Mapping[str, str], bodies: Sequence[Mapping[str, Any]], clients: int) -> dict[str, Ratio | None]:
        services.append(len(urls))
        encoded = [json.dumps(body).encode() for body in bodies]
        requests = {name: [request(url, body) for body in encoded] for name, url in urls.items()}
        found = side_by_side(urls, requests, clients=clients, budget_s=0.5)
        assert found["0"] == ITSELF
        assert all(ratio is not None for ratio in found.values())
        return {"0": ITSELF, "1": Ratio(2.0, 1.5, 2.5)}

    return tune(text_int8, Settings(threads=1, max_batch_size=8), compare), services


def test_what_is_shown_to_be_faster_is_taken_and_recorded(asked: tuple[Settings, list[int]]) -> None:
    settings, services = asked
    assert services == [2]
    assert (settings.workers, settings.threads, settings.max_batch_size) == (2, 1, 8)
    assert settings.tuned is not None
    assert settings.tuned["chosen"] == {"workers": 2}
    assert [(way["workers"], way["speed"]) for way in settings.tuned["measured"]] == [
        (None, [1.0, 1.0, 1.0]),
        (2, [2.0, 1.5, 2.5]),
    ]


def test_what_was_measured_holds_for_as_many_cores(asked: tuple[Settings, list[int]]) -> None:
    settings, _ = asked
    assert settings.on(available_cores()) == settings
    elsewhere = settings.on(available_cores() + 1)
    assert (elsewhere.workers, elsewhere.threads, elsewhere.max_batch_size) == (None, 1, 8)


def test_workers_share_the_cores() -> None:
    alone = threads_and_callers("onnxruntime", Settings())
    assert alone == (1, available_cores())
    assert threads_and_callers("onnxruntime", Settings(workers=2)) == (1, available_cores() // 2)
    assert threads_and_callers("litert", Settings(workers=2)) == (available_cores() // 2, 1)


@pytest.mark.parametrize("speed", [Ratio(1.5, 0.9, 2.0), Ratio(1.04, 1.01, 1.06), Ratio(0.5, 0.4, 0.6), None])
def test_the_usual_settings_stay_where_no_others_are_shown_to_be_faster(
    text_int8: Artifact, monkeypatch: pytest.MonkeyPatch, speed: Ratio | None
) -> None:
    monkeypatch.setattr("serve.tune._measured", lambda *_: [ITSELF, speed])
    settings = tune(text_int8, Settings(threads=1, max_batch_size=8), lambda *_: {})
    assert settings.tuned is not None
    assert replace(settings, tuned=None) == Settings(threads=1, max_batch_size=8)


def test_where_all_is_given_nothing_is_measured(text_int8: Artifact) -> None:
    given = Settings(threads=1, workers=1, max_batch_size=8)
    settings = tune(text_int8, given, lambda *_: pytest.fail("nothing may be measured"))
    assert settings == given


def test_batch_sizes_are_tried_with_the_best_of_workers_where_rows_may_go_together(
    text_onnx: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = []

    def measured(artifact: object, settings: object, second: object, ways: Sequence[Any], *_: object) -> list[Any]:
        stages.append(ways)
        return [ITSELF, *[None] * (len(ways) - 2), Ratio(2.0, 1.5, 2.5)]

    monkeypatch.setattr("serve.tune._measured", measured)
    settings = tune(text_onnx, Settings(), lambda *_: {})
    assert [way.max_batch_size for way in stages[1]] == [None, 1, 16, None]
    assert {way.workers for way in stages[1]} == {2}
    assert (settings.workers, settings.batch_wait_ms) == (2, 2.0)
