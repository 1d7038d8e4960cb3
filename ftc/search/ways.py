"""In which ways an artifact is measured: on a GPU in all at first, then in those that were best for its form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.variants import variants
from ftc.runtimes.variant import Variant
from ftc.search.request import Effort, Target

if TYPE_CHECKING:
    from bench.standing import Standing
    from bench.variants import Ways
    from ftc.artifact import Artifact
    from ftc.search.request import Request

MOST_KEPT = 2
"""Ways of a form that smaller networks are measured in: the fastest, and the fastest that is exact."""


def ways(artifact: Artifact, request: Request, best: Sequence[str], *, is_compared_with: bool) -> Ways:
    """In which ways an artifact is measured.

    A quick search leaves out what `torch.compile` compiles, for a minute or more.

    :param best: names of those that were best for its form; none while that is not known
    :param is_compared_with: whether others are, with what its plain way takes
    """
    there_are = variants(artifact, request.device)
    if request.target is not Target.CUDA:
        return there_are
    if best:
        kept = [way for way in there_are if str(way) in best]
    else:
        is_quick = request.effort is Effort.QUICK
        kept = [way for way in there_are if way is None or not (is_quick and way.way == "compile")]
    plain = there_are[:1] if is_compared_with or not kept else ()
    return tuple(dict.fromkeys((*plain, *kept)))


def best_of(standings: Sequence[Standing]) -> Standing:
    """The fastest of one artifact's standings; of those that were not compared or have failed, the first."""
    return max(standings, key=lambda one: (one.verdict != "failed", _speed(one)))


def names_of_best(standings: Sequence[Standing]) -> tuple[str, ...]:
    """The fastest way of one artifact, and the fastest that rounds no more than its file does; none on a CPU.

    Where the first loses too much, by the precision of its numbers, the second is still there.
    """
    ranked = sorted((one for one in standings if one.verdict != "failed"), key=_speed, reverse=True)
    named = [one.candidate.variant for one in ranked if one.candidate.variant is not None]
    exact = [name for name in named if Variant.named(name).is_exact]
    return tuple(dict.fromkeys((*named[:1], *exact[:1])))


def _speed(standing: Standing) -> float:
    ratio = standing.ratio_to_float_onnx or standing.ratio_to_root
    return ratio.value if ratio is not None else 0.0
