"""What was measured of a model, as tables for its card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from serve.markdown import plain, table

_NS_PER_MS = 1e6
_BYTES_PER_MB = 1e6


def measured_card(row: Mapping[str, Any]) -> str:
    """Markdown.

    :param row: of a leaderboard, with its conditions; what it does not say is left out
    """
    conditions = row.get("conditions") or {}
    parts = [table(("what", "measured"), list(_found(row)))]
    under = list(_conditions(conditions))
    if under:
        parts += ["Measured under these conditions:", table(("what", "value"), under)]
    return "\n\n".join(parts)


def _found(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if row.get("reason"):
        yield "result", plain(row["reason"])
    for name, score in sorted((row.get("metrics") or {}).items()):
        yield plain(name), f"{score:.4f}"
    if drop := row.get("drop"):
        low, high = drop["low_points"], drop["high_points"]
        yield "drop against the checkpoint", f"{drop['points']:.2f} points (95 % interval {low:.2f} to {high:.2f})"
    if row.get("label_agreement") is not None:
        yield "same label as the checkpoint", f"{100 * row['label_agreement']:.1f} % of the rows"
    known = [(p, row[f"p{p}_ns"]) for p in (50, 90, 99) if row.get(f"p{p}_ns") is not None]
    if known:
        times = ", ".join(f"p{p} {value_ns / _NS_PER_MS:.2f} ms" for p, value_ns in known)
        taken = f" ({row['samples']} samples)" if row.get("samples") else ""
        yield "latency of one row", f"{times}{taken}"
    if row.get("rows_per_second"):
        batch = f", in batches of {row['batch_size']}" if row.get("batch_size") else ""
        yield "throughput", f"{row['rows_per_second']:.0f} rows a second{batch}"
    for key, than in (("ratio_to_float_onnx", "the float ONNX export"), ("ratio_to_root", "the checkpoint")):
        if ratio := row.get(key):
            told = f"{ratio['value']:.2f} times as fast (95 % interval {ratio['low']:.2f} to {ratio['high']:.2f})"
            yield f"speed against {than}", told
    for key, what in (("load_ns", "loading"), ("first_call_ns", "first call")):
        if row.get(key) is not None:
            yield what, f"{row[key] / _NS_PER_MS:.1f} ms"
    if row.get("peak_rss_bytes"):
        yield "peak memory of the process", f"{row['peak_rss_bytes'] / _BYTES_PER_MB:.0f} MB"


def _conditions(conditions: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    machine, data = conditions.get("machine") or {}, conditions.get("data")
    if machine.get("cpu"):
        yield "processor", plain(f"{machine['cpu']} ({_listed(machine.get('instructions', ()))})".replace(" ()", ""))
    if machine.get("cores"):
        yield "cores", f"{machine['cores']}"
    if conditions.get("threads"):
        yield "threads", f"{conditions['threads']}"
    if data:
        yield "rows", plain(f"{data['rows']} of {data['source']}")
    if conditions.get("timed_examples"):
        median, longest = conditions["lengths"]
        yield "timed rows", f"{conditions['timed_examples']}, length {median} (median) to {longest}"
    if conditions.get("scenario"):
        yield "scenario", plain(conditions["scenario"])
    if machine.get("versions"):
        yield "versions", plain(_listed([f"{name} {version}" for name, version in machine["versions"].items()]))
    if machine.get("platform"):
        yield "system", plain(f"{machine['platform']}, Python {machine.get('python', '')}".removesuffix(", Python "))


def _listed(values: Sequence[str]) -> str:
    return ", ".join(values)
