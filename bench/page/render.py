"""The view as a document: HTML for people, Markdown for pull requests, CSV for tables of one's own."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bench.leaderboard import Leaderboard, rank
from bench.page.groups import Found, gather
from bench.page.table import verdict
from bench.page.view import Page
from bench.standing import Standing

_TEMPLATES = Path(__file__).parent / "templates"

_MARKUP = re.compile(r"([\\`*_\[\]<>|&~$]|^[#+-]|(?<=http):|(?<=https):|(?<=www)\.|(?<=\w)@)")
"""What Markdown, or GitHub's of it, would not take for text; addresses are not made into links either."""

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters but for tabs and ends of lines, and those that turn the direction of what follows."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a text begins that a spreadsheet would run (https://owasp.org/www-community/attacks/CSV_Injection)."""


def html(page: Page) -> str:
    """One file that opens from disk: its policy lets a browser load nothing, and run no other script than its own."""
    style, script = ((_TEMPLATES / name).read_text(encoding="utf-8") for name in ("style.css", "script.js"))
    return (
        _environment(autoescape=True)
        .get_template("page.html")
        .render(
            page=page,
            style=Markup(style),
            script=Markup(script),
            style_hash=_hash(style),
            script_hash=_hash(script),
        )
    )


def markdown(page: Page) -> str:
    """Tables and lists; plots are left out."""
    environment = _environment(autoescape=False)
    environment.filters["md"] = _text
    document = environment.get_template("markdown.md").render(page=page)
    return re.sub(r"\n{3,}", "\n\n", document).rstrip() + "\n"


def table(found: Sequence[Found]) -> str:
    """CSV: a line for each candidate of each run on the page; a cell is empty where nothing is known.

    A text that a spreadsheet would take for a formula begins with an apostrophe.
    """
    rows = [
        {
            "group": number,
            "run": one.run.id,
            "started": one.run.started,
            "complete": one.run.ended,
            "place": place,
            "verdict": verdict(standing, ended=one.run.ended),
            **_cells(standing, board),
            **_conditions(board),
        }
        for number, group in enumerate(gather(found), start=1)
        for one in group.shown
        for board in (rank(one.run),)
        for place, standing in enumerate(board.standings, start=1)
    ]
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _inert(value) for name, value in row.items()} for row in rows)
    return file.getvalue()


def _cells(standing: Standing, board: Leaderboard) -> dict[str, object]:
    one, drop, metric = standing.candidate, standing.drop, board.main_metric
    ratio = standing.cells[0].ratio if standing.cells else None
    return {
        "candidate": one.name,
        "id": one.id,
        "format": one.format,
        "runtime": one.runtime,
        "reason": board.reason if standing.verdict == "winner" else standing.reason,
        "size_bytes": one.size_bytes,
        "p50_ns": standing.p50_ns,
        "p90_ns": standing.p90_ns,
        "p99_ns": standing.p99_ns,
        "samples": standing.samples,
        "rounds": standing.rounds,
        "clear_rounds": standing.clear_rounds,
        "speed": ratio.value if ratio is not None else None,
        "speed_low": ratio.low if ratio is not None else None,
        "speed_high": ratio.high if ratio is not None else None,
        "rows_per_second": standing.rows_per_second,
        "metric": metric,
        "score": standing.metrics.get(metric),
        "drop_points": standing.drop_points,
        "drop_low_points": drop.low_points if drop is not None else None,
        "drop_high_points": drop.high_points if drop is not None else None,
        "mcnemar_p": drop.p_value if drop is not None else None,
        "label_agreement": standing.label_agreement,
        "peak_rss_bytes": standing.peak_rss_bytes,
        "peak_gpu_bytes": standing.peak_gpu_bytes,
        "power_w": standing.power_w,
        "load_ns": standing.load_ns,
        "first_call_ns": standing.first_call_ns,
        "encode_p50_ns": standing.encode_p50_ns,
        "decode_p50_ns": standing.decode_p50_ns,
        "batch_size": standing.batch_size,
    }


def _conditions(board: Leaderboard) -> dict[str, object]:
    known, data = board.conditions, board.conditions.data
    return {
        "scenario": known.scenario,
        "device": known.device,
        "gpu": str(known.gpu) if known.gpu is not None else None,
        "cpu": known.machine.cpu,
        "threads": known.threads,
        "data": data.source if data is not None else None,
        "rows": data.rows if data is not None else None,
    }


def _environment(*, autoescape: bool) -> Environment:
    return Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=autoescape, undefined=StrictUndefined, finalize=_printable
    )


def _hash(inline: str) -> str:
    """What the page's own policy knows its style and its script by, so that no other is obeyed."""
    return f"sha256-{base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()}"


def _text(value: object) -> str:
    return _MARKUP.sub(r"\\\1", " ".join(str(value).split()))


def _printable(value: object) -> object:
    """With a mark for what a terminal would obey, or would turn the text: the last words of a process may hold it."""
    if isinstance(value, str) and _CONTROLS.search(value):
        return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", value)
    return value


def _inert(value: object) -> object:
    value = _printable(value)
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
