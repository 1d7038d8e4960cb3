"""What a run was made under, and what its leaderboard leaves empty, in words."""

from __future__ import annotations

from bench import alike
from bench.leaderboard import Leaderboard
from bench.statistics import floor
from ftc.console import counted
from ftc.measurement import Conditions, Form

FORMS: dict[Form, str] = {"text": "single texts", "pair": "pairs of texts", "image": "images"}

PERCENTILES = "percentiles are of repeated calls of these"
"""Said of the timed examples: other texts or images, longer ones above all, may take longer than any of them."""


def remarks(board: Leaderboard) -> list[str]:
    """What is to be known before the ranking is believed."""
    told = []
    if board.float_onnx_absent is not None:
        told.append(f"no ratio to float ONNX: {board.float_onnx_absent}")
    if board.root_absent is not None:
        told.append(board.root_absent)
    told += empty(board)
    if board.self_check is not None:
        told.append(f"self-check: {board.self_check}")
    for standing in board.standings:
        told += [f"{standing.candidate.name}: {collapse}" for collapse in standing.collapsed]
    return told


def empty(board: Leaderboard) -> list[str]:
    """Why cells of the table are empty."""
    timed = [standing for standing in board.standings if standing.p50_ns is not None]
    more = "a longer --time-budget" + (", and to ftc bench --precision none" if board.precision is not None else "")
    remarks = []
    for percentile, known in ((90, [s.p90_ns for s in timed]), (99, [s.p99_ns for s in timed])):
        if any(value is None for value in known):
            fewest = min(standing.samples for standing in timed)
            remarks.append(
                f"no p{percentile}: it needs at least {floor(percentile)} samples, there are {fewest}; give {more}"
            )
    # of what was interrupted neither is known
    on_gpu = [s for s in timed if s.candidate.variant is not None and s.peak_rss_bytes is not None]
    silent = dict.fromkeys(s.candidate.runtime for s in on_gpu if s.peak_gpu_bytes is None)
    remarks += [f"no memory of the GPU for {runtime}, which does not tell" for runtime in silent]
    if any(standing.power_w is None for standing in on_gpu):
        remarks.append("no power: nvidia-ml-py is not installed, or the card does not count what it takes")
    return remarks


def sizes(conditions: Conditions) -> str:
    """Of the timed examples."""
    median, longest = conditions.lengths
    if conditions.form == "image":
        return f"{median} pixels" if median == longest else f"{median} (median) to {longest} pixels"
    return f"length {median} (median) to {longest}"


def around(board: Leaderboard) -> str:
    """What is paid besides the model, by the candidates that can tell."""
    parts = []
    for what, values in (
        ("encoding", [standing.encode_p50_ns for standing in board.standings]),
        ("decoding", [standing.decode_p50_ns for standing in board.standings]),
        ("first call", [standing.first_call_ns for standing in board.standings]),
    ):
        known = sorted(value / 1e6 for value in values if value is not None)
        if known:
            parts.append(f"{what} {known[0]:.2f}" + (f" to {known[-1]:.2f} ms" if len(known) > 1 else " ms"))
    return f"besides the model: {', '.join(parts)}" if parts else "nothing is known of encoding and decoding"


def resolved(board: Leaderboard) -> str:
    """What the rows can tell, to be put behind their number."""
    data, points = board.conditions.data, board.resolvable_points
    if data is None or points is None:
        return ""
    return f"; {counted(data.rows, 'row')} cannot tell drops under {points:.1f} points"


def scenario(conditions: Conditions) -> str:
    """What candidates were ranked by."""
    if conditions.arrivals is not None:
        arrivals = conditions.arrivals
        return f"Server: {arrivals.rate_per_s:g} queries/s by chance, bound {arrivals.bound_ms:g} ms, waiting included"
    if conditions.scenario == "Offline":
        return "Offline: each candidate in its own best batch size; p50 of a batch, ratios of rows in a second"
    batch = conditions.cells[conditions.throughput_cell]
    return f"SingleStream: ratios at batch 1; throughput in batches of {batch.batch_size}"


def rounds(board: Leaderboard) -> str:
    """How many there were, and in how many of them nothing slowed the cores, the fewest of any candidate."""
    timed = [standing for standing in board.standings if standing.rounds]
    most = max((standing.rounds for standing in timed), default=0)
    disturbed = [one.clear_rounds for one in timed if one.clear_rounds < one.rounds]
    return counted(most, "round") + (f", at least {min(disturbed)} of them undisturbed" if disturbed else "")


def under(board: Leaderboard) -> tuple[str, ...]:
    """The conditions, in a few lines."""
    conditions = board.conditions
    machine, data = conditions.machine, conditions.data
    quota = f", quota of {counted(machine.cpu_quota, 'core')}" if machine.cpu_quota is not None else ""
    load = f", {machine.busy_cores:.1f} cores busy with other work at the start"
    rows = f"{counted(data.rows, 'row')} of {data.source}" if data is not None else "no data"
    form = f" ({FORMS[conditions.form]})" if conditions.form is not None else ""
    runtimes = dict.fromkeys(standing.candidate.runtime for standing in board.standings)
    names = [name for runtime in runtimes for name in alike.libraries(runtime)]
    versions = [f"{name} {machine.versions[name]}" for name in names if name in machine.versions]
    vectors = ", ".join(machine.instructions) or "no vector extensions known"
    cores = conditions.pinned_cores
    pinned = f", held to {'core' if len(cores) == 1 else 'cores'} {', '.join(map(str, cores))}" if cores else ""
    gpu = f"{conditions.gpu}; " if conditions.gpu is not None else ""
    return (
        f"{gpu}{machine.cpu} ({vectors}), {counted(conditions.threads, 'thread')} on "
        f"{counted(machine.cores, 'core')}{pinned}{quota}{load}, {', '.join(versions)}",
        f"{rows}{form}{resolved(board)}; {conditions.timed_examples} timed, {sizes(conditions)}; {PERCENTILES}",
        f"{scenario(conditions)}; {rounds(board)}, 95 % intervals; seed {conditions.seed}",
        around(board),
    )
