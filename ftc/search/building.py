"""Making candidates: link by link, each in a process of its own, and nothing twice."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from compress.apply import versions
from ftc.console import every, progress
from ftc.search import job
from ftc.search.journal import Built
from ftc.search.links import Chain, digest, key
from ftc.search.workshop import Done, Order

if TYPE_CHECKING:
    from ftc.search.search import Search

_HANGS_S = 240.0
"""What no conversion takes: what was begun in time is not given up for its last seconds."""

_AGAIN = 3.0
"""Of what something took to build: what building it again may take."""

_REMIND_S = 60.0
"""After which it is said again what is going on, with the time left."""


@dataclass(frozen=True, slots=True)
class Building:
    """The part of a search that builds."""

    search: Search

    def make(self, chains: Sequence[Chain]) -> None:
        """Make what is not there, link by link; each link of all chains side by side."""
        store = self.search.store
        for count in range(1, max(map(len, chains), default=0) + 1):
            wanted = dict.fromkeys(chain[:count] for chain in chains if len(chain) >= count)
            missing = [chain for chain in wanted if store.failure(chain) is None and store.artifact(chain) is None]
            orders = [self._order(chain) for chain in missing]
            if not orders:
                continue
            what = f"building {', '.join(order.key for order in orders)}"
            with progress(what, len(orders)) as advance, self.reminding(what):
                for done in self.search.workshop.do(orders):
                    self._note(done)
                    advance()

    def reminding(self, what: str) -> AbstractContextManager[None]:
        """Say every minute that it goes on, with the time and the best so far."""
        return every(_REMIND_S, lambda: self.search.tell(f"still {what}"))

    def _note(self, done: Done) -> None:
        """Write down how a piece of work went."""
        name, seconds = done.order.key, done.seconds
        if done.result is None:
            self.search.fail(name, done.failure or "failed without a word", seconds)
        else:
            path, made = str(Path(done.result["path"]).resolve()), str(done.result["id"])
            self.search.store.add(lambda at: Built(name, path, made, seconds, at))
            self.search.tell(f"built {name} ({seconds:.0f} s)")

    def _order(self, chain: Chain) -> Order:
        planned = self.search.planned
        source = self.search.store.artifact(chain[:-1])
        assert source is not None, "chains are built from their beginnings"
        libraries = repr(sorted(versions().items()))
        made_of = (planned.root.manifest.id, planned.parts.tuning.fingerprint, key(chain), libraries)
        name = f"{planned.root.manifest.name}-{digest(chr(10).join(made_of))}"
        place = planned.place / name
        request = job.order(name, planned.root, planned.declared, source, chain[-1], planned.source, place)
        return Order(key(chain), request, self._limit_s(chain))

    def _limit_s(self, chain: Chain) -> float:
        """What it may take: what is left, or so long that it must hang if little is; a training, twice its time more.

        What is built again, since it is gone, may take three times as long as it took.
        """
        asked = dict(chain[-1].options).get("time_budget_s", 0.0)
        before_s = _AGAIN * self.search.store.built_in([chain])
        training_s = 2 * float(asked if isinstance(asked, (int, float)) else 0.0)
        return max(self.search.left_s(), _HANGS_S, before_s) + training_s
