"""In which ways an artifact is measured: on a GPU in all at first, then in those that were best for its form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, get_args

from bench.variants import variants
from ftc.runtimes.variant import Precision, Variant
from ftc.search.request import Effort, Target
from ftc.search.result import memory_bytes

if TYPE_CHECKING:
    from bench.standing import Standing
    from bench.variants import Ways
    from ftc.artifact import Artifact
    from ftc.search.request import Request

KEPT = 2
"""Ways that smaller networks of a form are measured in; see `names_of_best`."""

_NEAR = 0.95
"""Of the fastest way's speed: of ways this near, which float16 and bfloat16 mostly are, the finest is taken."""

_FINEST: Sequence[Precision] = get_args(Precision)


def first_ways(artifact: Artifact, request: Request) -> Ways:
    """In which ways an artifact is measured while it is not known which are the best of its form.

    A quick search leaves out what `torch.compile` compiles, for a minute or more.
    """
    there_are = variants(artifact, request.device)
    if request.target is not Target.CUDA or request.effort is not Effort.QUICK:
        return there_are
    return tuple(way for way in there_are if way is None or way.way != "compile")


def later_ways(artifact: Artifact, request: Request, best: Sequence[str], *, is_compared_with: bool) -> Ways:
    """In which ways it is measured once that is known.

    :param best: their names; none where none could be timed
    :param is_compared_with: whether others are, with what its plain way takes
    """
    there_are = variants(artifact, request.device)
    kept = tuple(way for way in there_are if str(way) in best)
    plain = there_are[:1] if is_compared_with or not kept else ()
    return tuple(dict.fromkeys((*plain, *kept)))


def best_of(standings: Sequence[Standing]) -> Standing:
    """The fastest of one artifact's standings; of those that were not compared or have failed, the first."""
    return max(standings, key=lambda one: (one.verdict != "failed", _speed(one)))


def names_of_best(standings: Sequence[Standing], request: Request) -> tuple[str, ...]:
    """The finest of the ways that are about as fast as the fastest, and the fastest exact one; none on a CPU.

    Where the first loses too much, by the precision of its numbers, the second is still there. What breaks a limit is
    left out, unless all do: of smaller networks it may keep that.
    """
    ranked = sorted((one for one in standings if one.verdict != "failed"), key=_speed, reverse=True)
    broken = [request.broken_by(one.candidate.size_bytes, memory_bytes(one), one.p50_ns) for one in ranked]
    ranked = [one for one, why in zip(ranked, broken, strict=True) if why is None] or ranked
    timed = [(Variant.named(one.candidate.variant), one) for one in ranked if one.candidate.variant is not None]
    if not timed:
        return ()
    near = [way for way, one in timed if _speed(one) >= _NEAR * _speed(timed[0][1])]
    finest = min(near, key=lambda way: _FINEST.index(way.precision))
    exact = [way for way, _ in timed if way.is_exact]
    return tuple(map(str, dict.fromkeys((finest, *exact[:1]))))


def soon_open(name: str) -> Variant:
    """A way with the same operations that opens in seconds, where the named one compiles for a minute or more."""
    way = Variant.named(name)
    if way.way == "compile":
        return Variant(way.precision, "graph")
    return Variant("fp32", "cuda") if way.way == "tensorrt" else way


def _speed(standing: Standing) -> float:
    ratio = standing.ratio_to_float_onnx or standing.ratio_to_root
    return ratio.value if ratio is not None else 0.0
