"""Which optional extra brings a library, as the package's own metadata says."""

from __future__ import annotations

import re
from importlib import metadata

from ftc.errors import MissingExtra

_DISTRIBUTIONS = {"sklearn": "scikit-learn", "PIL": "pillow", "mlflow": "mlflow-skinny"}
"""Modules whose distribution has another name."""


def extra_of(module: str) -> str | None:
    """The first extra of `ftc` that requires the distribution of a module; None if no extra does."""
    distribution = _DISTRIBUTIONS.get(module, module).replace("_", "-").lower()
    for requirement in metadata.requires("ftc") or ():
        name = re.match(r"[\w.-]+", requirement)
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", requirement)
        if name and extra and name.group().replace("_", "-").lower() == distribution:
            return extra.group(1)
    return None


def explain(error: ModuleNotFoundError) -> MissingExtra | None:
    """What to install for a missing module; None if no extra brings it, so that it must be a bug."""
    module = (error.name or "").split(".")[0]
    extra = extra_of(module)
    return MissingExtra("this command", module, extra) if extra is not None else None
