"""What a runtime looks like in a plot: a colour of the style sheet, and a shape for those who do not see colours."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi, sin, sqrt, tau

_CORNERS: dict[str, tuple[int, float]] = {
    "torch": (0, 0.0),
    "onnxruntime": (4, 0.125),
    "litert": (3, 0.0),
    "openvino": (4, 0.0),
    "keras": (5, 0.0),
}
"""Corners, none for a disc, and the part of a turn that the first of them stands from the top."""

_OTHER = (3, 0.5)
"""Of a runtime that came later than this table."""


@dataclass(frozen=True, slots=True)
class Mark:
    """:param runtime: whose it is
    :param colour: a class of the style sheet
    :param path: of an SVG path around (0, 0)
    """

    runtime: str
    colour: str
    path: str


def mark(runtime: str, radius_px: float = 6.0) -> Mark:
    """A runtime's mark with the area of a disc of this radius, so that areas compare whatever the shape."""
    corners, turned = _CORNERS.get(runtime, _OTHER)
    colour = f"c{list(_CORNERS).index(runtime)}" if runtime in _CORNERS else f"c{len(_CORNERS)}"
    if corners == 0:
        r, width = f"{radius_px:.2f}", f"{2 * radius_px:.2f}"
        return Mark(runtime, colour, f"M-{r} 0a{r} {r} 0 1 0 {width} 0a{r} {r} 0 1 0 -{width} 0Z")
    reach = radius_px * sqrt(pi / (corners / 2 * sin(tau / corners)))
    angles = [tau * (turned + corner / corners) for corner in range(corners)]
    points = " ".join(f"{reach * sin(angle):.2f} {-reach * cos(angle):.2f}" for angle in angles)
    return Mark(runtime, colour, f"M{points}Z")
