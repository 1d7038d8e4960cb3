"""Times as people write them."""

from __future__ import annotations

_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """The seconds of a time such as 90s, 15m or 2h; a number alone is of seconds.

    :raises ValueError: if it is no time above nothing
    """
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS_S else (text, "s")
    try:
        found = float(number) * _UNITS_S[unit]
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        raise ValueError(f"{text!r} is no time; write 90s, 15m or 2h.")
    return found
