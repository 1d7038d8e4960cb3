"""A worker that ends with an exception when it is to be timed, and takes a while to end."""

import atexit
import time
from collections.abc import Sequence

from bench import worker


class Raises(worker.Subject):
    """A subject whose library has a fault."""

    def turn(self, picks: Sequence[Sequence[int]], arrivals_ns: Sequence[int] | None = None) -> list[list[int]]:
        raise ValueError("nothing of ours")


if __name__ == "__main__":
    worker.Subject = Raises  # type: ignore[misc]
    atexit.register(time.sleep, 0.5)
    worker.main()
