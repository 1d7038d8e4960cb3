"""A checkpoint on this machine's NVIDIA GPU in every variant, as a Markdown table.

python benchmarks/cuda.py CHECKPOINT [--data ROWS] [--time-budget 60] [--lengths 32,128] [--threads 2] [-o RESULTS]

Needs the extra `torch`, with a PyTorch built for CUDA. Where the extra `onnx` is there as well, with onnxruntime-gpu in
place of onnxruntime, the plain float ONNX export is measured beside it; power needs the extra `cuda`. One command on a
machine that was lent: the table goes to stdout, all else to stderr, and raw samples to RESULTS.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from bench.intervals import Ratio
from bench.leaderboard import Leaderboard
from bench.run import Options, bench
from bench.standing import Standing
from compress.choices import Graph
from compress.verbs import export
from ftc.artifact import Artifact
from ftc.checkpoint import open_any
from ftc.data import load
from ftc.errors import FtcError
from ftc.gpu import chosen

HEADINGS = ("variant", "p50 ms", "x", "rows/s", "accuracy", "same label", "GPU MB", "power W", "first call s")


def main() -> None:
    given = _arguments()
    chosen()  # without a GPU there is nothing to export for
    with tempfile.TemporaryDirectory() as place:
        root = open_any(given.checkpoint)
        task = root.manifest.preprocessing.kind
        data = load(given.data, modality=task, classes=root.manifest.labels) if given.data is not None else None
        lengths = tuple(int(length) for length in given.lengths.split(",")) if given.lengths else ()
        options = Options(
            threads=given.threads, time_budget_s=given.time_budget, lengths=lengths, device="cuda", max_drop_points=100
        )
        board = bench([root, *_exports(root, Path(place))], data=data, options=options, results_path=given.output)
    print(table(board))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", metavar="ROWS", help="labelled rows; without them built-in examples are timed")
    parser.add_argument("--time-budget", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument("--lengths", default="", metavar="N,N", help="of texts, timed beside their own")
    parser.add_argument("--threads", type=int, help="of the host")
    parser.add_argument("-o", "--output", type=Path, metavar="RESULTS", help="raw samples, as JSON lines")
    return parser.parse_args()


def _exports(root: Artifact, place: Path) -> list[Artifact]:
    """The float export with standard operators only, which every provider knows; nothing without the libraries."""
    if any(find_spec(module) is None for module in ("onnx", "onnxruntime", "onnxscript")):
        return []
    return [export(root, place, given={"graph": Graph.PLAIN})]


def table(board: Leaderboard) -> str:
    """The leaderboard in Markdown, with each cell of the grid, its conditions, and why rows failed."""
    cells = [f"{cell.batch_size} x {cell.length or 'own'}: ms (x)" for cell in board.conditions.cells[2:]]
    lines = [_line((*HEADINGS, *cells)), _line(["---"] * (len(HEADINGS) + len(cells)))]
    lines += [_line(_row(standing, board)) for standing in board.standings if standing.p50_ns is not None]
    lines += ["", *(f"- {s.candidate.name}: {s.reason}" for s in board.standings if s.p50_ns is None)]
    conditions = board.conditions
    machine, (median, longest) = conditions.machine, conditions.lengths
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    batch = conditions.cells[1].batch_size
    lines += [
        "",
        f"{conditions.gpu}; {machine.cpu}, {conditions.threads} threads; {versions}.",
        f"p50 at batch 1, length {median} (median) to {longest}; x against float32 run plainly, 95 % intervals; rows/s "
        f"in batches of {batch}; {max((s.rounds for s in board.standings), default=0)} rounds.",
    ]
    return "\n".join(lines)


def _row(standing: Standing, board: Leaderboard) -> list[str]:
    grid = [f"{cell.p50_ns / 1e6:.3f} ({_times(cell.ratio)})" for cell in standing.cells[2:]]
    return [
        standing.candidate.name,
        _number(standing.p50_ns, 1e-6, 3),
        _times(standing.ratio_to_root),
        _number(standing.rows_per_second, 1, 0),
        _number(standing.metrics.get(board.main_metric), 1, 4),
        _number(standing.label_agreement, 1, 4),
        _number(standing.peak_gpu_bytes, 1e-6, 0),
        _number(standing.power_w, 1, 0),
        _number(standing.first_call_ns, 1e-9, 2),
        *grid,
    ]


def _line(parts: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(parts)} |"


def _times(ratio: Ratio | None) -> str:
    return "-" if ratio is None else f"{ratio.value:.2f}x ({ratio.low:.2f}-{ratio.high:.2f})"


def _number(value: float | None, factor: float, digits: int) -> str:
    return "-" if value is None else f"{value * factor:.{digits}f}"


if __name__ == "__main__":
    try:
        main()
    except FtcError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
