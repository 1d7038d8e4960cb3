"""Short measurements of what was judged, beside the float export: which forms and which networks are fast."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.intervals import ITSELF
from bench.options import Options
from bench.run import bench
from ftc.console import counted, hushed, progress
from ftc.errors import RunError
from ftc.search import plan
from ftc.search.journal import Timed
from ftc.search.links import key
from ftc.search.request import Objective, Target
from ftc.search.result import memory_bytes
from ftc.search.ways import best_of, first_ways, names_of_best

if TYPE_CHECKING:
    from bench.standing import Standing
    from bench.variants import Ways
    from ftc.artifact import Artifact
    from ftc.search.search import Search

_TIMING_S = 8.0
"""For each candidate of a short measurement; it tells those a tenth apart."""

_MOST_S = 30.0
"""For all of them."""

_TIMED_ROWS = 64


@dataclass(frozen=True, slots=True)
class Timing:
    """The part of a search that times."""

    search: Search

    def take(self, names: Sequence[str]) -> None:
        """A short measurement beside the reference; once more beside the checkpoint if it fails."""
        search, began = self.search, time.monotonic()
        reference = search.compared_with()
        first = key(()) if reference is search.planned.root else key(plan.REFERENCE)
        named = {reference.manifest.id: first}  # keys, by the ids of what they made
        candidates = [reference]
        for name in names:
            artifact = search.store.of(name)
            if artifact is not None and artifact.manifest.id not in named:
                named[artifact.manifest.id] = name
                candidates.append(artifact)
        ways = self._ways(candidates, reference)
        others = sum(map(len, ways.values())) - 1
        rows, options = search.planned.parts.judging.sample(_TIMED_ROWS, 0), self._options(others)
        try:
            with progress(f"timing {counted(others, 'candidate')} beside {reference.manifest.name}"), hushed():
                board = bench(candidates, data=rows, options=options, ways=ways)
        except RunError as error:
            search.tell(f"timing failed: {error}")
            return
        took_s = time.monotonic() - began
        shares = {name: len(ways[made]) for made, name in named.items() if self._is_news(name, first)}
        for made, name in named.items():
            ours = [standing for standing in board.standings if standing.candidate.artifact_id == made]
            plain = next((one for one in ours if one.candidate.is_root or one.candidate.is_float_onnx), None)
            seconds = took_s * shares.get(name, 0) / max(1, sum(shares.values()))
            if name == first and self._is_planned(name) and plain is not None and plain.verdict == "failed":
                search.fail(name, plain.reason, seconds)  # what the others are compared with
            elif name != first or (self._is_planned(name) and search.store.timed(name) is None):
                self._note(name, ours, seconds)
        if search.compared_with().manifest.id != reference.manifest.id:
            # all of them: ratios to what failed cannot stand beside these
            again = [name for name in dict.fromkeys([*search.candidates(), *names]) if search.is_fit(name)]
            if again:
                self.take(again)

    def _is_planned(self, name: str) -> bool:
        """Whether it is more than what the others are compared with for want of an export."""
        return name != key(()) or () in self.search.planned.chains

    def _is_news(self, name: str, first: str) -> bool:
        """Whether it is measured for its own sake: what the others are compared with is so on a GPU, once."""
        is_on_gpu = self.search.planned.request.target is Target.CUDA
        return name != first or (is_on_gpu and self.search.store.timed(name) is None)

    def _ways(self, artifacts: Sequence[Artifact], reference: Artifact) -> Mapping[str, Ways]:
        """All that there are of forms that were not timed yet; of what the others are compared with, the plain one."""
        request = self.search.planned.request
        found: dict[str, Ways] = {}
        for one, known in zip(artifacts, self.search.ways(artifacts).values(), strict=True):
            if not self.search.best_ways(one):
                known = first_ways(one, request)
            elif one is reference:
                known = known[:1]
            found[one.manifest.id] = known
        return found

    def _options(self, others: int) -> Options:
        request = self.search.planned.request
        return Options(
            threads=request.threads,
            time_budget_s=min(_TIMING_S * max(1, others), _MOST_S),
            device=request.device,
            precision=0.03,
            seed=request.seed,
            scenario="Offline" if request.objective is Objective.THROUGHPUT else "SingleStream",
        )

    def _note(self, name: str, standings: Sequence[Standing], seconds: float) -> None:
        """Write down how fast one was, on a GPU in the best of its ways.

        :param seconds: its part of the time
        """
        search, before = self.search, self.search.store.timed(name)
        # measured in all ways before, where this is one of these again
        names = before.ways if before is not None else names_of_best(standings, search.planned.request)
        standing = next((one for one in standings if one.candidate.variant in names[:1]), best_of(standings))
        ratio = standing.ratio_to_float_onnx or standing.ratio_to_root
        if standing.verdict == "failed":
            search.fail(name, standing.reason, seconds)
        elif ratio is None or standing.p50_ns is None:
            search.tell(f"{name}: was not compared: too few rounds")
        else:
            p50_ns, memory = standing.p50_ns, memory_bytes(standing)
            search.store.add(
                lambda at: Timed(name, ratio.value, ratio.low, ratio.high, p50_ns, memory, seconds, at, names)
            )
            if ratio != ITSELF:
                way = f" as {standing.candidate.variant}" if standing.candidate.variant is not None else ""
                search.tell(f"{name}{way}: {ratio}")
