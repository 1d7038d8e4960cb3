"""The search: what is built, judged and timed, in which order, and when it ends."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench import screening
from bench.options import Options
from bench.remote import WorkerError
from bench.run import bench
from bench.screening import LOOKS, screened
from compress.convolutional import has_attention
from ftc.artifact import Artifact
from ftc.console import hushed, progress, say
from ftc.errors import RunError
from ftc.search import job, plan
from ftc.search.journal import Built, Decided, Failed, Judged, Predicted, Timed
from ftc.search.links import Chain, Link, digest, key, link
from ftc.search.request import Effort, Objective
from ftc.search.workshop import Done, Order
from ftc.tasks.task import open_task

if TYPE_CHECKING:
    import numpy as np

    from ftc.declared import Declared
    from ftc.search.parts import Parts, Source
    from ftc.search.request import Request
    from ftc.search.store import Store
    from ftc.search.workshop import Workshop

TABLE = "latency table"
"""What the journal calls it."""

_FINAL_SHARE = 0.12
"""Of the budget, for the final measurement; and at least `_LEAST_FINAL_S`."""

_LEAST_FINAL_S = 45.0

_FIRST_SHARE = {Effort.QUICK: 0.5, Effort.BALANCED: 0.25, Effort.THOROUGH: 0.25}
"""Of the budget, after which nothing more is begun that needs no training."""

_LEAST_TRAINING_S = 45.0
"""A shorter training would hardly have warmed up."""

_TIMING_S = 8.0
"""Of each short measurement; it tells candidates a tenth apart."""

_TIMED_ROWS = 64

_FIRST_LOOK_ROWS = 600
"""That judge what is still to be trained and quantized."""

_SLACK_POINTS = 3.0
"""Over the budget, before a candidate is dropped by the rows that judge.

These come from data that the checkpoint has mostly learnt from, on which it looks better than it is: on SST-2, pruned
networks lost 1.5 to 2 points more against it there than on rows that it had never seen.
"""

_TRAINING_LEAVES = 0.25
"""Of what pruning lost on those rows, after training; what is more than the budget then is not trained."""


@dataclass(slots=True)
class Search:
    """One search over one checkpoint.

    :param root: the checkpoint
    :param given: how the user opens it
    :param source: the rows, as another process loads them
    :param place: a directory for everything that is built
    """

    root: Artifact
    given: Declared
    request: Request
    source: Source
    parts: Parts
    place: Path
    store: Store
    workshop: Workshop
    first: tuple[Chain, ...]
    fixed: bool = False
    _reference: np.ndarray | None = field(default=None, init=False)

    def run(self) -> tuple[Chain, ...]:
        """Build, judge and time until the budget is used; the chains that the final measurement takes."""
        try:
            self._without_training()
            if not self.fixed and self.request.objective is not Objective.SIZE and plan.can_prune(self.root):
                self._prune()
        except KeyboardInterrupt:
            say("stopping: the best so far is measured; Ctrl-C again ends without it")
        return self._finalists()

    def left_s(self) -> float:
        """What is left of the budget, less what the final measurement needs."""
        budget = self.request.budget_s
        return budget - max(_FINAL_SHARE * budget, _LEAST_FINAL_S) - self.store.elapsed_s

    def _without_training(self) -> None:
        """Build and compare what needs no training, as much of it as leaves time for the rest."""
        slots = self.workshop.slots
        for start in range(0, len(self.first), slots):
            wanted = self.first[start : start + slots]
            late = self.store.elapsed_s > _FIRST_SHARE[self.request.effort] * self.request.budget_s
            if late and start and not self.fixed:
                for chain in wanted:
                    if self.store.artifact(chain) is None:
                        self._tell(f"not tried, to leave time for the rest: {key(chain)}")
            else:
                self._build(wanted)
        self._compare(self.first)

    # ------------------------------------------------------------------ building

    def _build(self, chains: Sequence[Chain]) -> None:
        """Make what is not there, link by link; each link of all chains side by side."""
        for count in range(1, max(map(len, chains), default=0) + 1):
            wanted = dict.fromkeys(chain[:count] for chain in chains if len(chain) >= count)
            handed: list[Order] = []
            for chain in wanted:
                if self.store.failure(chain) is None and self.store.artifact(chain) is None:
                    handed.append(self._order(chain))
            if not handed:
                continue
            with progress(f"building {', '.join(order.key for order in handed)}", len(handed)) as advance:
                for done in self.workshop.do(handed):
                    self._note(done)
                    advance()

    def _note(self, done: Done) -> None:
        """Write down how a piece of work went."""
        name, seconds = done.order.key, done.seconds
        if done.result is None:
            reason = done.failure or "failed without a word"
            self.store.add(lambda at: Failed(name, reason, seconds, at))
            self._tell(f"{name}: {reason.splitlines()[0]}")
        else:
            path, made = str(done.result["path"]), str(done.result["id"])
            self.store.add(lambda at: Built(name, path, made, seconds, at))
            self._tell(f"built {name} ({seconds:.0f} s)")

    def _order(self, chain: Chain) -> Order:
        source = self.store.artifact(chain[:-1]) if len(chain) > 1 else self.root
        assert source is not None, "chains are built from their beginnings"
        name = f"{self.root.manifest.name}-{digest(key(chain) + self.parts.tuning.fingerprint)}"
        request = job.order(name, self.root, self.given, source, chain[-1], self.source, self.place / name)
        return Order(key(chain), request, self._limit_s(chain[-1]))

    def _limit_s(self, last: Link) -> float:
        """A training ends by itself; all else may take what is left, and a minute if nothing is."""
        asked = dict(last.options).get("time_budget_s", 0.0)
        return max(self.left_s(), 60.0) + 2 * float(asked if isinstance(asked, (int, float)) else 0.0)

    # ------------------------------------------------------------------ judging and timing

    def _compare(self, chains: Sequence[Chain]) -> None:
        """Judge what was built, and time what is not hopeless beside the reference and the fastest so far."""
        for chain in chains:
            self._judge(chain)
        new = [chain for chain in chains if self.store.timed(key(chain)) is None and self._is_fit(chain)]
        if new:
            self._time(new)

    def _is_fit(self, chain: Chain) -> bool:
        judged = self.store.judged(key(chain))
        return self.store.artifact(chain) is not None and judged is not None and judged.verdict != "hopeless"

    def _judge(self, chain: Chain) -> Judged | None:
        """How accurate a candidate is on the rows that judge, or on the first of them if that is enough."""
        artifact = self.store.artifact(chain)
        if artifact is None or self.store.judged(key(chain)) is not None or self.store.failure(chain) is not None:
            return self.store.judged(key(chain))
        began = time.monotonic()
        data, reference, name = self.parts.judging, self._answers_of_reference(), key(chain)
        if artifact.manifest.format == self.root.manifest.format:  # a stage, in the slowest of runtimes: a first look
            data = data.part(range(min(len(data), _FIRST_LOOK_ROWS)), f"head={_FIRST_LOOK_ROWS}")
        allowed = self.request.max_drop_points + _SLACK_POINTS
        try:
            with progress(f"judging {name}", len(data)) as advance:
                found = screening.answers(
                    artifact,
                    data,
                    threads=self.request.threads,
                    stop=LOOKS,
                    reference=reference,
                    allowed_points=allowed,
                    advance=advance,
                )
        except WorkerError as error:
            reason = str(error)
            self.store.add(lambda at: Failed(name, reason, time.monotonic() - began, at))
            self._tell(f"{name}: {reason}")
            return None
        assert data.labels is not None, "rows without labels are refused before"
        told = screened(data.labels, reference, found, allowed)
        seconds = time.monotonic() - began
        self.store.add(
            lambda at: Judged(
                name,
                told.rows,
                told.points,
                told.low_points,
                told.high_points,
                told.score,
                told.verdict,
                seconds,
                at,
            )
        )
        if told.verdict == "hopeless":
            self._tell(f"dropped {name}: surely loses {told.low_points:.1f} points or more ({told.rows} rows)")
        return self.store.judged(key(chain))

    def _answers_of_reference(self) -> np.ndarray:
        """Class ids (N,) int64 of the checkpoint's own answers to the rows that judge, or of its float export."""
        if self._reference is None:
            float_onnx = self.store.artifact(plan.REFERENCE)
            with hushed():
                self._reference = screening.answers(
                    float_onnx or self.root, self.parts.judging, threads=self.request.threads
                )
        return self._reference

    def _time(self, chains: Sequence[Chain]) -> None:
        """A short measurement beside the reference."""
        began = time.monotonic()
        reference = self.store.artifact(plan.REFERENCE) or self.root
        subjects: dict[str, Chain] = {}
        for chain in chains:
            artifact = self.store.artifact(chain)
            if artifact is not None and artifact.manifest.id != reference.manifest.id:
                subjects[artifact.manifest.id] = chain
        candidates = [reference, *(found for c in subjects.values() if (found := self.store.artifact(c)) is not None)]
        options = Options(
            threads=self.request.threads,
            time_budget_s=min(_TIMING_S * max(1, len(subjects)), 30.0),
            precision=0.03,
            seed=self.request.seed,
            scenario="Offline" if self.request.objective is Objective.THROUGHPUT else "SingleStream",
        )
        try:
            with progress(f"timing {len(subjects)} candidates beside the float export"), hushed():
                board = bench(candidates, data=self.parts.judging.sample(_TIMED_ROWS, 0), options=options)
        except RunError as error:
            self._tell(f"timing failed: {error}")
            return
        seconds = (time.monotonic() - began) / max(1, len(subjects))
        for standing in board.standings:
            chain = subjects.get(standing.candidate.id, plan.REFERENCE)
            name, ratio = key(chain), standing.ratio_to_float_onnx or standing.ratio_to_root
            if standing.verdict == "failed" or ratio is None or standing.p50_ns is None:
                reason = standing.reason
                self.store.add(lambda at: Failed(name, reason, seconds, at))  # noqa: B023 - called at once
                continue
            p50, memory = standing.p50_ns, standing.peak_rss_bytes
            self.store.add(
                lambda at: Timed(name, ratio.value, ratio.low, ratio.high, p50, memory, seconds, at)  # noqa: B023
            )
            if chain != plan.REFERENCE:
                self._tell(f"{name}: {ratio}")

    # ------------------------------------------------------------------ smaller networks

    def _prune(self) -> None:
        """Smaller networks, in the form that was fastest: predicted, built, judged, trained if that may pay."""
        form = self._best_form()
        if form is None:
            return
        shapes = self._shapes(form)
        built = list(shapes)
        if not built or not self._has_time_for(form):
            return
        self._build(built)
        for chain in built:
            self._judge(chain)
        chosen = self._chosen(shapes, form)
        if self.request.effort is Effort.QUICK:
            self._finish([chain for chain in built if self._is_fit(chain)][:1], form)
            return
        self._train({chain: shapes[chain] for chain in chosen}, form)
        self._finish([chain for chain in built if self._is_fit(chain) and chain not in chosen], form)

    def _best_form(self) -> Chain | None:
        """The quantization that was fastest of all that are not hopeless."""

        def fastest() -> tuple[Sequence[str], str, dict[str, float]]:
            ratios = {c: t.ratio for c in self.first if c != plan.REFERENCE and (t := self.store.timed(key(c)))}
            ranked = plan.fastest_first(ratios)
            why = "the fastest of what needs no training" if ranked else "nothing could be measured"
            return [key(chain) for chain in ranked[:1]], why, {key(chain): ratio for chain, ratio in ratios.items()}

        choice = self.store.choose("form", fastest).choice
        return next((chain for chain in self.first if [key(chain)] == list(choice)), None)

    def _shapes(self, form: Chain) -> dict[Chain, float]:
        """Prunings and the speed against the reference that is predicted of each in this form."""
        timed = self.store.timed(key(form))
        assert timed is not None, "the form was chosen by its time"
        if not has_attention(self.root):
            found = plan.channels(self.request.effort)
        else:
            table = self._table(form)
            if table is None:
                return {}
            found = plan.shapes(table, self.request.effort)
        for chain, speedup in found:
            self._predict(chain + form, speedup * timed.ratio)
        return {chain: speedup * timed.ratio for chain, speedup in found}

    def _predict(self, chain: Chain, ratio: float) -> None:
        if self.store.predicted(key(chain)) is None:
            self.store.add(lambda at: Predicted(key(chain), ratio, at))
            self._tell(f"predicted {ratio:.1f}x for {key(chain)}")

    def _table(self, form: Chain) -> plan.Table | None:
        """What layers and their parts take in this form, on this machine."""
        known = self.store.decided(TABLE)
        if known is None:
            options = dict(form[-1].options)
            task = open_task(self.root)
            lengths = sorted(map(task.length, self.parts.judging.head(500).examples))
            layers = int(self.root_layers())
            depths = plan.depths(layers, self.request.effort)
            request = job.table(
                f"{self.root.manifest.name}-table",
                self.root,
                self.given,
                str(options["to"]),
                str(options["mode"]),
                max(8, 4 * round(lengths[len(lengths) // 2] / 4)),
                tuple(depth for depth in depths if depth < layers),
                self.source,
            )
            (done,) = self.workshop.do([Order(TABLE, request, max(60.0, self.left_s()))])
            if done.result is None:
                reason = done.failure or "failed without a word"
                self.store.add(lambda at: Failed(TABLE, reason, done.seconds, at))
                self._tell(f"no latency table: {reason.splitlines()[0]}")
                return None
            told = done.result
            numbers = {name: float(told[name]) for name in ("rest", "layer", "head", "neuron")}
            shapes = tuple(f"{heads} {neurons}" for heads, neurons in told["shapes"])
            self._tell(f"latency table of {key(form)} ({done.seconds:.0f} s)")
            self.store.add(lambda at: Decided(TABLE, shapes, key(form), at, {**numbers, "seconds": done.seconds}))
            known = self.store.decided(TABLE)
            assert known is not None, "it was written just now"
        heads_and_neurons = [shape.split() for shape in known.choice]
        return plan.Table(
            rest=known.numbers["rest"],
            layer=known.numbers["layer"],
            head=known.numbers["head"],
            neuron=known.numbers["neuron"],
            shapes=tuple((int(heads), int(neurons)) for heads, neurons in heads_and_neurons),
        )

    def root_layers(self) -> int:
        """Encoder layers of the checkpoint."""
        from ftc.huggingface.model import config_of

        return int(config_of(self.root).num_hidden_layers)

    def _chosen(self, shapes: dict[Chain, float], form: Chain) -> list[Chain]:
        """The prunings that are trained, at most one: the fastest that training may bring inside the budget."""

        def choose() -> tuple[Sequence[str], str, dict[str, float]]:
            lost = {chain: judged.points for chain in shapes if (judged := self.store.judged(key(chain))) is not None}
            numbers = {key(chain): points for chain, points in lost.items()}
            hopeful = [c for c in lost if _TRAINING_LEAVES * lost[c] <= self.request.max_drop_points]
            best = self.store.timed(key(form))
            assert best is not None, "the form was chosen by its time"
            faster = [chain for chain in hopeful if shapes[chain] > best.ratio]
            if not faster:
                return [], "no pruning is both faster and near enough to be trained back into the budget", numbers
            # tiers hold shapes of like speed: in the fastest tier, the one that has lost least
            top = max(shapes[chain] for chain in faster)
            alike = [chain for chain in faster if shapes[chain] >= 0.93 * top]
            chosen = min(alike, key=lambda chain: lost[chain])
            return [key(chosen)], f"predicted {shapes[chosen]:.1f}x, {lost[chosen]:.1f} points lost so far", numbers

        decided = self.store.choose("training", choose)
        return [chain for chain in shapes if key(chain) in decided.choice]

    def _train(self, chosen: Mapping[Chain, float], form: Chain) -> None:
        """Teach the chosen pruning by the checkpoint for as long as there is time, and bring it into its form."""
        if not chosen:
            return
        (pruned,) = chosen
        after_s = self._form_s(form)
        seconds = self.store.choose(
            "training time", lambda: ((), "what is left", {"seconds": max(0.0, round(self.left_s() - after_s))})
        ).numbers["seconds"]
        if seconds < _LEAST_TRAINING_S:
            self._tell(f"no time to train {key(pruned)}: {seconds:.0f} s are left for it")
            self._finish([pruned] if self._is_fit(pruned) else [], form)
            return
        self._tell(f"training {key(pruned)} for {seconds / 60:.1f} minutes")
        trained = (*pruned, link("distill", time_budget_s=float(seconds)))
        self._predict(trained + form, chosen[pruned])
        self._build([trained])
        self._judge(trained)
        if self.store.artifact(trained) is not None:
            self._finish([trained], form, whatever_the_time=True)

    def _finish(self, pruned: Sequence[Chain], form: Chain, *, whatever_the_time: bool = False) -> None:
        """Bring pruned networks into their form, and compare."""
        for chain in pruned:
            whole = chain + form
            if not whatever_the_time and not self._has_time_for(form):
                self._tell(f"no time left for {key(whole)}")
                continue
            self._build([whole])
            self._compare([whole])

    def _form_s(self, form: Chain) -> float:
        """What bringing a network into a form and comparing it takes, by what it took the first time."""
        stages = [form[:count] for count in range(1, len(form) + 1)]
        return 1.2 * (self.store.built_in(stages) + 20.0)

    def _has_time_for(self, form: Chain) -> bool:
        return self.left_s() > self._form_s(form)

    # ------------------------------------------------------------------ the end

    def _finalists(self) -> tuple[Chain, ...]:
        """The fastest few that are not hopeless, of different speeds, the post-training best always among them."""

        def choose() -> tuple[Sequence[str], str, dict[str, float]]:
            ratios = {chain: t.ratio for chain in self.candidates() if (t := self.store.timed(key(chain))) is not None}
            ratios = {chain: ratio for chain, ratio in ratios.items() if self._is_fit(chain)}
            if not ratios:  # interrupted before anything was timed
                ratios = {chain: 1.0 for chain in self.known() if chain[-1].verb in ("export", "quantize")}
                ratios = {c: 1.0 for c in ratios if self.store.artifact(c) is not None and c != plan.REFERENCE}
            if self.request.objective is Objective.SIZE:
                ranked = sorted(ratios, key=self._size_of)
            else:
                ranked = list(plan.fastest_first(ratios))
            plain = [chain for chain in ranked if chain in self.first]
            chosen = list(dict.fromkeys([*ranked[:3], *plain[:2]]))
            return [key(c) for c in chosen], "the best few", {key(c): r for c, r in ratios.items()}

        decided = self.store.choose("finalists", choose)
        return tuple(chain for chain in self.known() if key(chain) in decided.choice)

    def candidates(self) -> tuple[Chain, ...]:
        """All chains that were built to be measured, in their order."""
        built = [e.key for e in self.store.journal.entries if isinstance(e, Timed)]
        known = {key(chain): chain for chain in self.known()}
        return tuple(known[name] for name in dict.fromkeys(built) if name in known and known[name] != plan.REFERENCE)

    def known(self) -> tuple[Chain, ...]:
        """Every chain that this search has thought of."""
        chains: dict[Chain, None] = dict.fromkeys(self.first)
        form = self.store.decided("form")
        forms = [chain for chain in self.first if form is not None and key(chain) in form.choice]
        table, time_of = self.store.decided(TABLE), self.store.decided("training time")
        shapes: Sequence[tuple[Chain, float]] = ()
        if forms and not has_attention(self.root):
            shapes = plan.channels(self.request.effort)
        elif forms and table is not None and (read := self._table(forms[0])) is not None:
            shapes = plan.shapes(read, self.request.effort)
        for shape, _ in shapes:
            chains[shape] = None
            chains[shape + forms[0]] = None
            if time_of is not None:
                trained = (*shape, link("distill", time_budget_s=float(time_of.numbers["seconds"])))
                chains[trained] = None
                chains[trained + forms[0]] = None
        return tuple(chains)

    def _size_of(self, chain: Chain) -> int:
        artifact = self.store.artifact(chain)
        return artifact.manifest.facts.size_bytes if artifact is not None else 0

    def _tell(self, what: str) -> None:
        minutes, seconds = divmod(int(self.store.elapsed_s), 60)
        of_minutes, of_seconds = divmod(int(self.request.budget_s), 60)
        timed = {chain: t for chain in self.candidates() if (t := self.store.timed(key(chain))) and self._is_fit(chain)}
        best = max(timed.values(), key=lambda t: t.ratio, default=None)
        so_far = f", best so far {best.ratio:.2f}x" if best is not None else ""
        say(f"[{minutes}:{seconds:02} of {of_minutes}:{of_seconds:02}{so_far}] {what}")
