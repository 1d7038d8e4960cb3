"""The search: what is built, judged and timed, in which order, and when it ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ftc.artifact import Artifact
from ftc.console import counted, say
from ftc.search import finalists, plan
from ftc.search.building import Building
from ftc.search.finalists import Contender, Hope
from ftc.search.forms import Forms
from ftc.search.journal import Decided, Failed, Timed
from ftc.search.judging import PACE, SLACK_POINTS, Judging
from ftc.search.links import Chain, key
from ftc.search.request import Effort, Objective, Target
from ftc.search.smaller import Smaller
from ftc.search.timing import Timing
from ftc.search.ways import KEPT, first_ways, later_ways

if TYPE_CHECKING:
    from bench.variants import Ways
    from ftc.search.prepare import Planned
    from ftc.search.store import Store
    from ftc.search.workshop import Workshop

_FINAL_SHARE = 0.1
"""Of the budget, for the final measurement; and at least `_LEAST_FINAL_S`."""

_LEAST_FINAL_S = 45.0

_FIRST_SHARE = {Effort.QUICK: 0.5, Effort.BALANCED: 0.25, Effort.THOROUGH: 0.25}
"""Of the budget, after which no more forms of the whole network are begun."""

_SMALLER = 0.6
"""Of what bringing the whole network into a form takes, with a reserve: what it takes with a smaller one.

A MiniLM at 62 % was converted and compared in 35 s, where 59 s were reckoned for the whole one.
"""

FINALISTS: Final = "finalists"
"""The stage at which the candidates of the final measurement are chosen."""

FORMS: Final = "forms"
"""The stage at which the forms of smaller networks are chosen."""

SOONEST: Final = "soonest form"
"""The stage at which the form of untrained networks is chosen."""

_TIME = "time for "
"""What stages begin with at which it is seen whether there is time to try something."""


@dataclass(slots=True)
class Search:
    """One search over one checkpoint.

    :param planned: what is searched, for what, and what is tried first
    :param store: its state
    :param workshop: where the work is done
    """

    planned: Planned
    store: Store
    workshop: Workshop
    building: Building = field(init=False)
    judging: Judging = field(init=False)
    timing: Timing = field(init=False)

    def __post_init__(self) -> None:
        self.building, self.judging, self.timing = Building(self), Judging(self), Timing(self)

    def run(self) -> tuple[str, ...]:
        """Build, judge and time until the budget is used; keys of the candidates that the final measurement takes.

        Once they are chosen, and stand where they were built, a search that goes on has only to measure them. What an
        interrupt leaves to choose from is not written down: until its measurement is over, the search may go on.

        :raises KeyboardInterrupt: if an interrupt leaves nothing to choose from
        """
        chosen = self.store.decided(FINALISTS)
        if chosen is not None and not any(map(self.store.has_lost, (*chosen.choice, key(plan.REFERENCE)))):
            return chosen.choice
        try:
            self._without_training()
            if self._is_for_smaller() and (forms := self._forms()):
                Smaller(self, forms).run()
        except KeyboardInterrupt:
            best = self._finalists()[0]
            if not best:
                raise
            final_s = self.final_s()
            about = f", which takes about {counted(max(1, round(final_s / 60)), 'minute')}" if final_s else ""
            say(f"stopping: the best so far is measured{about}; Ctrl-C again stops at once; the same command goes on")
            return best
        return self.store.choose(FINALISTS, self._finalists).choice

    def _is_for_smaller(self) -> bool:
        """Whether smaller networks are looked for."""
        planned = self.planned
        is_asked = not planned.is_fixed and planned.bounds.prune and planned.request.objective is not Objective.SIZE
        return is_asked and plan.can_prune(planned.root)

    def left_s(self) -> float:
        """What is left of the budget, less what the final measurement needs."""
        budget = self.planned.request.budget_s
        return budget - max(_FINAL_SHARE * budget, _LEAST_FINAL_S, self.final_s()) - self.store.elapsed_s

    def final_s(self) -> float:
        """What the final measurement should take; 0 while the pace is not known."""
        known = self.store.decided(PACE)
        return (known.numbers["final_s"] if known is not None else 0.0) + self._opening_s()

    def _opening_s(self) -> float:
        """What opening its candidates takes on a GPU, in ways some of which are compiled first; little on a CPU."""
        if self.planned.request.target is not Target.CUDA:
            return 0.0
        forms = [(c, a) for c in ((), plan.REFERENCE) if (a := self.store.artifact(c)) is not None]
        each_s = [self._comparing_s(c) / len(first_ways(a, self.planned.request)) for c, a in forms]
        return KEPT * min(finalists.MOST + 2, len(self.candidates()) + 2) * max(each_s, default=0.0)

    def has_time(self, name: str, is_time: bool) -> bool:
        """Whether there was time to try something when this was first asked.

        A search that goes on is at another time: it would try what was left out, or leave out what was begun.
        """
        said = "there is time to try it" if is_time else "no time left to try it"
        is_known = self.store.decided(_TIME + name) is not None
        decided = self.store.choose(_TIME + name, lambda: ((name,) if is_time else (), said, {}))
        if not (decided.choice or is_known):
            self.tell(f"no time left to try {name}")
        return bool(decided.choice)

    def untried(self) -> tuple[str, ...]:
        """Keys of what there was no time to try."""
        asked = (e for e in self.store.journal.entries if isinstance(e, Decided) and e.stage.startswith(_TIME))
        return tuple(decided.stage.removeprefix(_TIME) for decided in asked if not decided.choice)

    def _without_training(self) -> None:
        """Build and compare what needs no training, as much of it as leaves time for the rest, but one at least."""
        slots, chains, request = self.workshop.slots, self.planned.chains, self.planned.request
        others = [chain for chain in chains if chain != plan.REFERENCE]
        needed = chains if self.planned.is_fixed else (plan.REFERENCE, *others[:1])
        for start in range(0, len(chains), slots):
            is_early = self.store.elapsed_s <= _FIRST_SHARE[request.effort] * request.budget_s
            wanted = chains[start : start + slots]
            self.building.make([chain for chain in wanted if chain in needed or self.has_time(key(chain), is_early)])
        self._compare(chains)

    def _compare(self, chains: Sequence[Chain]) -> None:
        """Judge what was built, and time what is not hopeless beside the reference."""
        distinct = self._distinct(chains)
        for chain in distinct:
            self.judging.judge(chain)
        new = [name for name in map(key, distinct) if self.store.timed(name) is None and self.is_fit(name)]
        if new:
            self.timing.take(new)

    def _distinct(self, chains: Sequence[Chain]) -> tuple[Chain, ...]:
        """Those that were built; of several that made the same artifact, a default spelled out, the first."""
        first: dict[str, Chain] = {}
        for chain in chains:
            artifact = self.store.artifact(chain)
            if artifact is not None:
                first.setdefault(artifact.manifest.id, chain)
        return tuple(first.values())

    def is_fit(self, name: str) -> bool:
        """Whether it is there, was judged, and neither failed nor is hopeless."""
        return self.store.of(name) is not None and self.store.judged(name) is not None and not self._is_out(name)

    def _is_out(self, name: str) -> bool:
        judged = self.store.judged(name)
        return self.store.failed(name) is not None or (judged is not None and judged.verdict == "hopeless")

    def compared_with(self) -> Artifact:
        """The float export, unless it failed; then the checkpoint."""
        float_onnx = self.store.artifact(plan.REFERENCE)
        has_failed = float_onnx is None or self.store.failed(key(plan.REFERENCE)) is not None
        return self.planned.root if float_onnx is None or has_failed else float_onnx

    def ways(self, artifacts: Sequence[Artifact]) -> Mapping[str, Ways]:
        """By the id of each, in which ways it is measured; see `ftc.search.ways`."""
        compared = (self.planned.root.manifest.id, self.compared_with().manifest.id)
        return {
            (made := artifact.manifest.id): later_ways(
                artifact, self.planned.request, self.best_ways(artifact), is_compared_with=made in compared
            )
            for artifact in artifacts
        }

    def best_ways(self, artifact: Artifact) -> tuple[str, ...]:
        """Which ways were the best of the artifact's form; none on a CPU, and while none of that form was timed."""
        is_as_root = artifact.manifest.format == self.planned.root.manifest.format
        timed = self.store.timed(key(() if is_as_root else plan.REFERENCE))
        return timed.ways if timed is not None else ()

    def runs(self, artifact: Artifact) -> bool:
        """Whether what the target has executes it; on a GPU without PyTorch's part of it, checkpoints are stages."""
        is_as_root = artifact.manifest.format == self.planned.root.manifest.format
        return self.planned.request.target is not Target.CUDA or not is_as_root or () in self.planned.chains

    def _may_win(self, name: str) -> bool:
        """Whether it is another than the reference, or one that a GPU executes in other ways besides."""
        return self.planned.request.target is Target.CUDA or name != key(plan.REFERENCE)

    def fail(self, name: str, reason: str, seconds: float) -> None:
        """Write down that a candidate came to nothing."""
        self.store.add(lambda at: Failed(name, reason, seconds, at))
        self.tell(f"{name}: {reason.splitlines()[0]}")

    def _forms(self) -> tuple[Chain, ...]:
        """The forms in which smaller networks are tried, the fastest first: two in a thorough search, else one."""
        timed = {c: t for c in self.planned.chains if self._may_win(key(c)) and (t := self.store.timed(key(c)))}
        fit = {c: t for c, t in timed.items() if self.is_fit(key(c)) and self._tells_memory(key(c))}
        forms = Forms({c: t.ratio for c, t in fit.items()}, {c: t.low for c, t in fit.items()}, self.form_s)
        is_thorough = self.planned.request.effort is Effort.THOROUGH
        fastest = forms.of_formats() if is_thorough else forms.affordable(self.planned.request.budget_s)
        told = {key(c): t.ratio for c, t in timed.items()}
        self.store.choose(SOONEST, lambda: ([key(c) for c in forms.soonest()], "about as fast, made soonest", {}))
        why = "the fastest of what needs no training, or as fast so far as is shown, and made sooner"
        return self._known(self.store.choose(FORMS, lambda: ([key(c) for c in fastest], why, told)).choice)

    def _tells_memory(self, name: str) -> bool:
        """Whether a form's memory is known, so far as it matters: of a GPU's, a runtime may tell nothing."""
        request, timed = self.planned.request, self.store.timed(name)
        is_known = timed is not None and timed.memory_bytes is not None
        return is_known or request.max_memory_bytes is None or request.target is not Target.CUDA

    def soonest_form(self) -> tuple[Chain, ...]:
        """Of the forms that are about as fast as the fastest, the one that is made soonest."""
        decided = self.store.decided(SOONEST)
        return () if decided is None else self._known(decided.choice)

    def _known(self, names: Sequence[str]) -> tuple[Chain, ...]:
        known = {key(chain): chain for chain in self.planned.chains}
        return tuple(known[name] for name in names)

    def finish(self, chain: Chain, forms: Sequence[Chain], *, whatever_the_time: bool = False) -> None:
        """Bring a network into forms, and compare."""
        for form in forms:
            whole = chain + form
            if self.store.artifact(chain) is None:
                continue
            # what a GPU runs as it was pruned is there already: whether there is time to time it is another question
            name = key(whole) if form else f"timing {key(whole)}"
            if whatever_the_time or self.has_time(name, self.left_s() >= _SMALLER * self.form_s(form)):
                self.building.make([whole])
                self._compare([whole])

    def form_s(self, form: Chain) -> float:
        """What bringing a network into a form and comparing it takes, by what it took the first time.

        On a GPU most of it may be compiling for the ways in which it is compared.
        """
        stages = [form[:count] for count in range(1, len(form) + 1)]
        return 1.2 * (self.store.built_in(stages) + max(20.0, self._comparing_s(form)))

    def _comparing_s(self, form: Chain) -> float:
        """What comparing a form took the first time; on a GPU alone it is much."""
        timed = self.store.first_timed(key(form)) if self.planned.request.target is Target.CUDA else None
        return timed.seconds if timed is not None else 0.0

    def _finalists(self) -> tuple[tuple[str, ...], str, dict[str, float]]:
        """See `ftc.search.finalists`; what was built by then where the search was stopped before anything was timed.

        :return: their keys, why they were chosen, and the speeds of all
        """
        ratios = self.candidates()
        if not ratios:
            built = [key(c) for c in self._distinct(self.planned.chains) if c not in ((), plan.REFERENCE)]
            return tuple(name for name in built if not self._is_out(name))[: finalists.SLOTS], "nothing was timed", {}
        known = [self.contender(name) for name in ratios]
        why = "the best inside the budget by the rows that judge, and the fastest that may yet be"
        return finalists.chosen(known), why, ratios

    def contender(self, name: str) -> Contender:
        """What speaks for a candidate that was judged and timed, and what against it."""
        judged, timed, artifact = self.store.judged(name), self.store.timed(name), self.store.of(name)
        assert judged is not None, "candidates are"
        assert timed is not None, "candidates are"
        assert artifact is not None, "candidates are"
        size, is_about_size = artifact.manifest.facts.size_bytes, self.planned.request.objective is Objective.SIZE
        broken = self.planned.request.broken_by(size, timed.memory_bytes, timed.p50_ns)
        allowed = self.judging.allowed_points
        over = judged.points - allowed
        if over > 0:
            behind = f"loses {judged.points:.2f} points on the rows that judge, more than {allowed:.3g}"
        else:
            behind = f"{'larger' if is_about_size else 'slower'} than the best of those that were measured to the end"
        return Contender(
            name,
            merit=-size if is_about_size else timed.ratio,
            hope=Hope.NONE if broken or over > SLACK_POINTS else Hope.SOME if over > 0 else Hope.GOOD,
            is_plain=name in map(key, self.planned.chains),
            behind=broken or behind,
        )

    def candidates(self) -> dict[str, float]:
        """Speeds of what was timed and is not hopeless, by key: the journal knows them, whichever run built them."""
        timed = dict.fromkeys(e.key for e in self.store.journal.entries if isinstance(e, Timed))
        return {
            name: known.ratio
            for name in timed
            if self._may_win(name) and self.is_fit(name) and (known := self.store.timed(name)) is not None
        }

    def _best_so_far(self) -> str | None:
        """The speed, or for size the size, of the best of those that the rows that judge have inside all limits."""
        known = [one for name in self.candidates() if (one := self.contender(name)).hope is Hope.GOOD]
        best = max(known, key=lambda one: one.merit, default=None)
        if best is None:
            return None
        is_about_size = self.planned.request.objective is Objective.SIZE
        return f"{-best.merit / 1e6:.1f} MB" if is_about_size else f"{best.merit:.2f}x"

    def tell(self, what: str) -> None:
        """A line on stderr: the time, what is left of it, the best so far, and what has happened."""
        minutes, seconds = divmod(int(self.store.elapsed_s), 60)
        of_minutes, of_seconds = divmod(int(self.planned.request.budget_s), 60)
        so_far = f", best so far {best}" if (best := self._best_so_far()) is not None else ""
        say(f"[{minutes}:{seconds:02} of {of_minutes}:{of_seconds:02}{so_far}] {what}")
