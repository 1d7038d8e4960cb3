"""What a drop of accuracy on the same rows can mean."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.agreement import collapses, drop, mcnemar, resolvable_points


def answers(rows: int, only_root: int, only_candidate: int) -> tuple[list[int], list[int], list[int]]:
    """Right answers, the root's and the candidate's; on the rest both are right."""
    targets = [0] * rows
    root = [0] * rows
    candidate = [0] * rows
    candidate[:only_root] = [1] * only_root
    root[only_root : only_root + only_candidate] = [1] * only_candidate
    return targets, root, candidate


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(0, 40))
def test_the_exact_test_is_that_of_the_binomial_distribution(lost: int, gained: int) -> None:
    expected = stats.binomtest(lost, lost + gained).pvalue if lost + gained else 1.0
    assert mcnemar(lost, gained) == pytest.approx(expected)
    assert mcnemar(lost, gained) == mcnemar(gained, lost)


@pytest.mark.parametrize(("lost", "gained"), [(100_000, 100_000), (60_000, 60_700), (0, 5000)])
def test_the_exact_test_is_to_be_had_of_many_rows(lost: int, gained: int) -> None:
    assert mcnemar(lost, gained) == pytest.approx(stats.binomtest(lost, lost + gained).pvalue, rel=1e-6)


def test_a_drop_comes_with_its_interval_and_what_the_rows_can_tell() -> None:
    found = drop(*answers(872, 14, 10), seed=0)
    assert found.points == pytest.approx(100 * 4 / 872)
    assert (found.only_root, found.only_candidate) == (14, 10)
    assert found.low_points < 0 < found.points < found.high_points
    assert found.p_value == pytest.approx(mcnemar(14, 10))
    assert found.resolvable_points == pytest.approx(1.12, abs=0.02)
    assert found.high_points - found.low_points == pytest.approx(2 * found.resolvable_points, rel=0.1)


def test_no_difference_in_few_rows_is_no_proof() -> None:
    few, many = drop(*answers(50, 0, 0), seed=0), drop(*answers(5000, 0, 0), seed=0)
    assert few.points == many.points == 0
    assert few.high_points > 1
    assert many.high_points < 0.1
    assert resolvable_points(0.04, 400) == pytest.approx(2 * resolvable_points(0.04, 1600))


def test_intervals_of_drops_hold_the_truth() -> None:
    random = np.random.default_rng(1)
    missed = 0
    for _ in range(300):
        kinds = random.choice(3, size=400, p=[0.03, 0.01, 0.96])
        found = drop(*answers(400, int((kinds == 0).sum()), int((kinds == 1).sum())), seed=0)
        missed += not found.low_points <= 2.0 <= found.high_points
    assert missed <= 24


def test_a_class_that_collapses_is_named_and_small_losses_are_not() -> None:
    targets = [0] * 500 + [1] * 500 + [2] * 30
    root = list(targets)
    candidate = list(targets)
    candidate[:10] = [1] * 10
    candidate[1000:1020] = [0] * 20
    (found,) = collapses(("cat", "dog", "fox"), targets, root, candidate)
    assert (found.label, found.rows, found.root_recall) == ("fox", 30, 1.0)
    assert found.recall == pytest.approx(1 / 3)
    assert str(found) == "class fox: 33.3% of its 30 rows right, 100.0% before"
    assert collapses(("cat", "dog", "fox"), targets, root, root) == ()
