"""Smaller networks: how small, by their speed and by what pruning costs; and the training that wins points back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ftc.search import plan
from ftc.search.journal import Predicted
from ftc.search.links import Chain, key, link
from ftc.search.request import Effort
from ftc.search.speeds import Shape, speeds_of

if TYPE_CHECKING:
    from ftc.search.search import Search
    from ftc.search.speeds import Speeds

_LEAST_TRAINING_S = 45.0
"""A shorter training would hardly have warmed up."""

_TRAINING_LEAVES = 0.6
"""Of what pruning lost, after training for some minutes. On test rows: of MiniLMs on SST-2 0.69 of 1.72 points (37 % of
the encoder, 5 minutes), 0.35 of 1.84 (33 %, 15) and 2.18 of 5.62 (3 layers, 15), of a ResNet 1.78 of 3.38 (5 minutes).
It is no less than most of these, since half of what just comes back into the budget is outside it on other rows.
"""

_EVALUATIONS = 1
"""Of a training, at its end: the weights before, while the learning rate was high, win by chance alone.

Three of 2,000 rows chose those of step 1,457 of 2,888 for a MiniLM at 39 %; the last of 1,670 steps were nearer to the
teacher (Kullback-Leibler divergence at temperature 2, SST-2's test rows: 0.037 to 0.044), and lost 0.7 points, not 1.1.
"""

_ASIDE_S = 60.0
_ASIDE_SHARE = 0.05
"""What bringing an untrained network into its form may take before one is trained: the larger of both."""

_NEAR = 0.93
"""Of a shape's speed: one that reaches so much is about as fast; of such, the one that has lost least is trained."""

_BEYOND = 1.5
"""Of the fastest shape's speed, if training should bring back even that: how much faster one is trained at most."""

_AIM: Final = "training"
"""The stage at which it is chosen what is trained, after looks at what might be."""

_OVER = 1.25
"""Times what training should bring back: what lost little more than was reckoned, in so few rows, is trained, too."""

_LOOKS = 2
"""At networks that should be trainable and faster than those that were tried: half a minute each for a MiniLM."""

_TIME: Final = "training time"
"""The stage at which it is chosen for how long."""


@dataclass(frozen=True, slots=True)
class Smaller:
    """The part of a search that prunes and trains.

    :param forms: those that were fastest, of different formats, the best first
    """

    search: Search
    forms: tuple[Chain, ...]

    def run(self) -> None:
        """Predict, build, judge; train what may come back into the budget; bring the best into their forms."""
        search = self.search
        speeds = speeds_of(search, self.forms[0])
        if speeds is None:
            return
        effort = search.planned.request.effort
        aims = [(tier, depth) for tier in plan.TIERS[effort] for depth in plan.parts_of_depth(search.planned.request)]
        found = [shape for aim in aims if (shape := speeds.shape(*aim)) is not None]
        shapes = list({shape.chain: shape for shape in found}.values())  # fewer layers may do for several tiers
        self._look(shapes)
        aside_s = max(_ASIDE_S, _ASIDE_SHARE * search.planned.request.budget_s)
        is_cheap = effort is Effort.QUICK or all(search.form_s(form) <= aside_s for form in search.soonest_form())
        done = self._finish_untrained(shapes, None) if is_cheap else None
        if effort is not Effort.QUICK and search.planned.bounds.distill:
            aim, shapes = self._aim(shapes, speeds)
            if aim is not None:
                if is_cheap or self._is_inside(aim):  # training takes all the time that is left, and may bring nothing
                    done = self._finish_untrained(shapes, done)
                self._train(aim)
        self._finish_untrained(shapes, done)

    def _look(self, shapes: Sequence[Shape]) -> None:
        """Predict how fast shapes are, build them, if there is time to make something of them, and judge them."""
        for shape in shapes:
            self._predict(shape.chain, shape.speedup, self.search.soonest_form())
        is_time = self.search.left_s() > self.search.form_s(self.forms[0])
        wanted = [shape.chain for shape in shapes if self.search.has_time(key(shape.chain), is_time)]
        self.search.building.make(wanted)
        for chain in wanted:
            self.search.judging.judge(chain)

    def _predict(self, chain: Chain, speedup: float, forms: Sequence[Chain]) -> None:
        """What a shape should reach in each form: the whole network's measured ratio times the shape's speed-up."""
        store = self.search.store
        for form in forms:
            timed, name = store.timed(key(form)), key(chain + form)
            assert timed is not None, "forms were chosen by their time"
            if store.predicted(name) is None:
                ratio = speedup * timed.ratio
                store.add(lambda at: Predicted(name, ratio, at))  # noqa: B023 - called at once
                self.search.tell(f"predicted {ratio:.1f}x for {name}")

    def _lost(self, shape: Shape) -> float | None:
        judged = self.search.store.judged(key(shape.chain))
        return None if judged is None else judged.points

    def _is_inside(self, shape: Shape) -> bool:
        lost = self._lost(shape)
        return lost is not None and lost <= self.search.judging.allowed_points

    def _is_surely_inside(self, shape: Shape) -> bool:
        """Whether the whole interval of its drop is."""
        judged = self.search.store.judged(key(shape.chain))
        return judged is not None and judged.high_points <= self.search.judging.allowed_points

    def _finish_untrained(self, shapes: Sequence[Shape], done: Chain | None) -> Chain | None:
        """The fastest shape that is inside the budget as it is, in the form that is made soonest, if there is time.

        :param done: what was finished already
        :return: what is now
        """
        inside = [shape for shape in shapes if self._is_inside(shape)]
        if not inside:
            return done
        chain = max(inside, key=lambda shape: shape.speedup).chain
        if chain != done:
            self.search.finish(chain, self.search.soonest_form())
        return chain

    def _aim(self, shapes: Sequence[Shape], speeds: Speeds) -> tuple[Shape | None, list[Shape]]:
        """The shape that is trained: the fastest of those that were judged that training should bring into the budget.

        Before, what should be faster yet is built and judged: more than once, since what is reckoned may be far off.

        :return: it, None to train none; and all shapes that were tried by then
        """
        known = list(shapes)
        if all(self._lost(shape) is None for shape in known):
            # nothing is known of what pruning loses: nothing to choose by, and no choice to be written down
            store = self.search.store
            whys = {store.failure(s.chain) or store.failed(key(s.chain)) or "no time left" for s in known}
            said = "; ".join(sorted(why.splitlines()[0] for why in whys)) or "none would be fast enough"
            self.search.tell(f"no smaller network was judged: {said}")
            return None, known
        for look in range(1, _LOOKS + 1):
            hoped = self._hoped(look, known, speeds)
            if hoped is None or hoped.chain in [shape.chain for shape in known]:
                break
            self._look([hoped])
            known.append(hoped)
        decided = self.search.store.choose(_AIM, lambda: self._picked(known))
        if not decided.choice:
            self.search.tell(decided.why)
            return None, known
        return next(shape for shape in known if key(shape.chain) == decided.choice[0]), known

    def _hoped(self, look: int, shapes: Sequence[Shape], speeds: Speeds) -> Shape | None:
        """The fastest that should be trainable, by what is known of some shapes; None if one of them is about as fast.

        What pruning loses grows between the speeds that were tried about as a line does.
        """

        def choose() -> tuple[Sequence[str], str, dict[str, float]]:
            hopes = [_furthest(self._tried(shapes, d), self._trainable_points, d) for d in {s.depth for s in shapes}]
            best = max((hope for hope in hopes if hope is not None), default=None)
            if best is None:
                return [], "no pruning is near enough", {}
            speedup, depth = best
            if any(shape.speedup >= _NEAR * speedup for shape in self._trainable(shapes)):
                return [], "one that was judged is as fast", {}
            shape = speeds.shape(speedup, depth)
            if shape is None:
                return [], f"there is none at {speedup:.2f} times the speed", {}
            why = f"should lose what training brings back, at {speedup:.2f} times the unpruned one's speed"
            return [key(shape.chain)], why, {"speedup": speedup, "depth": depth}

        decided = self.search.store.choose(f"{_AIM}, look {look}", choose)
        return speeds.shape(decided.numbers["speedup"], decided.numbers["depth"]) if decided.choice else None

    def _picked(self, shapes: Sequence[Shape]) -> tuple[Sequence[str], str, dict[str, float]]:
        """Of those that are trainable the fastest, or of those about as fast the one that has lost least."""
        numbers = {f"{key(s.chain)}: points lost": lost for s in shapes if (lost := self._lost(s)) is not None}
        able = self._trainable(shapes)
        if not able:
            return [], "no network that was judged is near enough to be trained back into the budget", numbers
        fastest = max(able, key=lambda shape: shape.speedup)
        shape = min((s for s in able if s.speedup >= _NEAR * fastest.speedup), key=lambda s: able[s])
        if self._is_surely_inside(shape):
            return [], "the fastest that could be trained is shown to be inside the budget untrained", numbers
        untrained = (
            "inside the budget untrained, but not shown to be" if self._is_inside(shape) else "outside it untrained"
        )
        why = f"the fastest that training should bring into the budget; {untrained}"
        return [key(shape.chain)], why, numbers

    def _trainable(self, shapes: Sequence[Shape]) -> dict[Shape, float]:
        """Those that have lost about as much as training should bring back, or less, with the points."""
        lost = {shape: points for shape in shapes if (points := self._lost(shape)) is not None}
        return {shape: points for shape, points in lost.items() if points <= _OVER * self._trainable_points}

    @property
    def _trainable_points(self) -> float:
        """What pruning may lose for training to bring it back into the budget."""
        return self.search.judging.allowed_points / _TRAINING_LEAVES

    def _tried(self, shapes: Sequence[Shape], depth: float) -> list[tuple[float, float]]:
        """Speeds of one depth with the points that were lost, slowest first; the whole network loses none."""
        found = [(s.speedup, lost) for s in shapes if s.depth == depth and (lost := self._lost(s)) is not None]
        return [(1.0, 0.0), *sorted(found)] if depth == 1.0 else sorted(found)

    def _train(self, aim: Shape) -> None:
        """Let the checkpoint teach the shape for as long as there is time, and bring it into its forms."""
        search = self.search
        after_s = sum(map(search.form_s, self.forms))
        seconds = search.store.choose(
            _TIME, lambda: ((), "what is left", {"seconds": max(0.0, round(search.left_s() - after_s))})
        ).numbers["seconds"]
        trained = (*aim.chain, link("distill", evaluations=_EVALUATIONS, time_budget_s=float(seconds)))
        is_there = search.store.artifact(aim.chain) is not None
        if not is_there or not search.has_time(key(trained), seconds >= _LEAST_TRAINING_S):
            return
        if search.store.artifact(trained) is None:
            search.tell(f"training {key(aim.chain)} for {seconds / 60:.1f} minutes")
        self._predict(trained, aim.speedup, self.forms)
        search.building.make([trained])
        search.judging.judge(trained)
        search.finish(trained, self.forms, whatever_the_time=True)


def _furthest(tried: Sequence[tuple[float, float]], allowed: float, depth: float) -> tuple[float, float] | None:
    """The largest speed at which not more than `allowed` points are lost, with the depth; None if there is none.

    Where even the fastest that was tried loses less, the line through the last two is followed, so far as that may be.
    """
    best: float | None = None
    for place, (speed, lost) in enumerate(tried):
        if lost <= allowed:
            best = speed
            continue
        if place:
            before, lost_before = tried[place - 1]
            if lost_before <= allowed:
                best = before + (speed - before) * (allowed - lost_before) / (lost - lost_before)
        break
    else:
        if len(tried) > 1:
            (before, lost_before), (speed, lost) = tried[-2:]
            best = _BEYOND * speed
            if lost > lost_before:
                best = min(best, speed + (allowed - lost) * (speed - before) / (lost - lost_before))
    return None if best is None or best <= 1.0 else (best, depth)
