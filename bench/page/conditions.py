"""Where and how a run was made, term by term."""

from __future__ import annotations

from bench import described
from bench.leaderboard import Leaderboard
from ftc.console import counted
from ftc.measurement import Conditions, Machine, Run


def conditions(run: Run, board: Leaderboard) -> tuple[tuple[str, str], ...]:
    """Terms with what is known of them; what is not known is left out."""
    known = run.conditions
    terms = (*_machine(known.machine), *_run(run, known, board), *_data(known, board))
    return tuple((term, value) for term, value in terms if value)


def _machine(machine: Machine) -> tuple[tuple[str, str], ...]:
    limit = machine.memory_limit_bytes
    load = f"{machine.busy_cores:.1f} cores busy with other work at the start"
    return (
        ("Processor", machine.cpu),
        ("Instruction sets", ", ".join(machine.instructions)),
        ("Cores", counted(machine.cores, "core") + _quota(machine)),
        ("Governor", machine.governor or ""),
        ("Load", load + (f", load average {machine.load_1min:.1f}" if machine.load_1min is not None else "")),
        ("Memory", f"{machine.memory_bytes / 1e9:.1f} GB" + (f", limit {limit / 1e9:.1f} GB" if limit else "")),
        ("System", f"{machine.platform}, Python {machine.python}"),
        ("Libraries", ", ".join(f"{name} {version}" for name, version in sorted(machine.versions.items()))),
    )


def _quota(machine: Machine) -> str:
    return f", quota of {counted(machine.cpu_quota, 'core')}" if machine.cpu_quota is not None else ""


def _run(run: Run, known: Conditions, board: Leaderboard) -> tuple[tuple[str, str], ...]:
    cores = known.pinned_cores
    asked = f"asked for {100 * run.precision:g} %" if run.precision is not None else "not asked for"
    budget = f"{run.time_budget_s:g} s" if run.time_budget_s is not None else ""
    return (
        ("Scenario", described.scenario(known)),
        ("Device", known.device),
        ("GPU", str(known.gpu) if known.gpu is not None else ""),
        ("Threads", str(known.threads) + (f", held to cores {', '.join(map(str, cores))}" if cores else "")),
        ("Rounds", f"{described.rounds(board)}; every candidate once in each, in shuffled order"),
        ("Precision", f"{asked}; intervals are 95 %"),
        ("Time budget", budget),
        ("Seed", str(known.seed)),
    )


def _data(known: Conditions, board: Leaderboard) -> tuple[tuple[str, str], ...]:
    timed = f"{counted(known.timed_examples, 'example')}, {described.sizes(known)}; {described.PERCENTILES}"
    around = ("Besides the model", described.around(board).removeprefix("besides the model: "))
    if known.data is None:
        return (("Timed", timed), around)
    form = f" ({described.FORMS[known.form]})" if known.form is not None else ""
    return (
        ("Data", f"{counted(known.data.rows, 'row')} of {known.data.source}{form}{described.resolved(board)}"),
        ("Fingerprint", known.data.fingerprint),
        ("Timed", timed),
        around,
    )
