"""What a running service holds: one model or two, and which of them answers a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ftc.runtimes.session import available_cores
from ftc.tasks import TASKS
from serve import about, journal
from serve.metrics import Families
from serve.shadow import Shadow
from serve.split import SESSION, Split
from serve.variant import Variant

if TYPE_CHECKING:
    from serve.bundle import Bundle


MOST_DECODING = 4
"""Images that are decoded at once: of the largest, each takes half a gigabyte while it is."""

MAX_BODY_BYTES = {True: 2**20, False: 2**24}
"""Of texts, and of images, unless the settings say otherwise."""


class Inside:
    """Opened when the service starts, closed when it has answered its last request.

    `is_ready` is whether all models answered as they should. `second` answers a share of the requests, and `shadow`
    copies of them.
    """

    first: Variant
    second: Variant | None = None
    shadow: Shadow | None = None
    is_ready: bool

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self.settings = bundle.settings
        self.is_text = TASKS.load(bundle.artifact.manifest.task).modality == "text"
        self.preparing_threads = available_cores() if self.is_text else min(available_cores(), MOST_DECODING)
        self.max_body_bytes = bundle.settings.max_body_bytes or MAX_BODY_BYTES[self.is_text]
        self.names = bundle.names if bundle.second is not None else None
        self._split: Split | None = None

    def open(self) -> None:
        """Load the models, and let each answer its golden examples."""
        families, second = Families(), self._bundle.second
        ours, theirs = self._bundle.names
        self.first = Variant(ours, self._bundle, families)
        found = [self.first.wrong]
        if second is not None and second.role == "ab":
            self.second = Variant(theirs, self._bundle.of_second(), families)
            self._split = Split(second.share, second.artifact.manifest.id)
            found.append(self.second.wrong)
        elif second is not None:
            self.shadow = Shadow.open(theirs, self._bundle.of_second())
            found.append(self.shadow.wrong)
        self.is_ready = all(wrong is None for wrong in found)

    def chosen(self, headers: Mapping[bytes, bytes]) -> Variant:
        """The model that answers a request with these headers."""
        session = headers.get(SESSION) or None  # without a value it names no session
        if self.second is not None and self._split is not None and self._split.takes_second(session):
            return self.second
        return self.first

    def about(self) -> dict[str, Any]:
        """What the service tells of itself."""
        return about.about(self, self._bundle)

    def close(self) -> None:
        """Answer what still waits, and say goodbye."""
        self.first.engine.close()
        if self.second is not None:
            self.second.engine.close()
        if self.shadow is not None:
            self.shadow.close()
        journal.write("stopped")

    @property
    def is_alive(self) -> bool:
        return self.first.engine.is_alive and (self.second is None or self.second.engine.is_alive)
