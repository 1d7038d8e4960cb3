"""A worker that cannot be started a second time."""

import os
import sys
from pathlib import Path

from bench import worker

if __name__ == "__main__":
    mark = Path(os.environ["OPENS_ONCE"])
    if mark.exists():
        sys.exit("once was enough")
    mark.touch()
    worker.main()
