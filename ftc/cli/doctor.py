"""`ftc doctor`"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import TYPE_CHECKING

import click

from ftc.cli import options
from ftc.errors import installing

if TYPE_CHECKING:
    from ftc.machine import Processor

_DISTRIBUTIONS = {
    "keras": "tensorflow",
    "torch": "torch",
    "onnxruntime": "onnxruntime",
    "litert": "ai-edge-litert",
    "openvino": "openvino",
}
"""What brings each runtime."""

_PURPOSES = {
    "torch": "Hugging Face checkpoints",
    "keras": "Keras models",
    "data": "Parquet files and Hugging Face data sets",
    "serve": "ftc package and ftc serve",
    "timm": "checkpoints that timm saved",
    "cuda": "a GPU's power in ftc bench --device cuda",
}
"""What extras bring besides runtimes and steps."""

_INTEL = {
    "avx2": "AVX2",
    "avx512f": "AVX512F",
    "avx512_vnni": "AVX512-VNNI",
    "avx_vnni": "AVX-VNNI",
    "amx_int8": "AMX int8",
    "amx_bf16": "AMX bf16",
}
_ARM = {"asimd": "NEON", "asimddp": "dotprod", "i8mm": "i8mm"}


@dataclass(frozen=True, slots=True)
class Extra:
    """One extra of `ftc`.

    :param missing: distributions that it needs and that are not installed
    :param adds: what it is for
    """

    name: str
    missing: tuple[str, ...]
    adds: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What this machine and this environment offer.

    :param instructions: by name, whether the processor has them
    :param runtimes: by name the version, or None where it is not installed
    :param graphics: NVIDIA graphics processors with their memory and driver
    """

    cpu: str
    architecture: str
    instructions: Mapping[str, bool]
    int8: str
    cores: int
    cpu_quota: float | None
    memory_bytes: int
    memory_available_bytes: int
    graphics: tuple[str, ...]
    runtimes: Mapping[str, str | None]
    extras: tuple[Extra, ...]


@click.command()
@options.json_option
def doctor(as_json: bool) -> None:
    """Show what this machine and this environment offer: instructions for INT8, cores, memory, runtimes, extras.

    \b
    ftc doctor
    ftc doctor --json
    """
    diagnosis = diagnose()
    click.echo(json.dumps(asdict(diagnosis), indent=2) if as_json else _report(diagnosis))


def diagnose() -> Diagnosis:
    """Look at the processor and at what is installed; nothing heavy is imported and nothing is run but `nvidia-smi`."""
    import psutil

    from ftc.gpu import listed
    from ftc.machine import processor
    from ftc.runtimes import RUNTIMES

    cpu, memory = processor(), psutil.virtual_memory()
    known = _ARM if cpu.architecture in ("aarch64", "arm64") else _INTEL
    return Diagnosis(
        cpu=cpu.model,
        architecture=cpu.architecture,
        instructions={shown: name in cpu.instructions for name, shown in known.items()},
        int8=_of_int8(cpu),
        cores=cpu.cores,
        cpu_quota=cpu.quota,
        memory_bytes=int(memory.total),
        memory_available_bytes=int(memory.available),
        graphics=tuple(str(card.gpu) for card in listed()),
        runtimes={name: _version(_DISTRIBUTIONS.get(name, name)) for name in RUNTIMES},
        extras=_extras(),
    )


def _of_int8(cpu: Processor) -> str:
    has = frozenset(cpu.instructions)
    if "amx_int8" in has:
        return "AMX multiplies INT8 matrices in tiles, VNNI smaller ones: INT8 is worth most here."
    if has & {"avx512_vnni", "avx_vnni"}:
        return "VNNI sums INT8 products in 32 bits, without overflow: INT8 pays here, with 8-bit weights too."
    if "i8mm" in has:
        return "i8mm multiplies INT8 matrices: INT8 is worth most here."
    if "asimddp" in has:
        return "dotprod sums INT8 products in 32 bits, without overflow: INT8 pays here."
    if "avx2" in has:
        return (
            "No VNNI: INT8 gains less speed, and files with 8-bit weights may answer differently here, since sums "
            "saturate in 16 bits. The 7-bit weights that ftc writes do not. Measure: ftc bench."
        )
    return "No instructions for INT8 are known of this processor: expect smaller files rather than faster ones."


def _extras() -> tuple[Extra, ...]:
    from compress.steps import STEPS
    from ftc.runtimes import RUNTIMES

    needed = _requirements()
    found = []
    for name in dict.fromkeys([*_PURPOSES, *(entry.extra for entry in RUNTIMES.entries.values() if entry.extra)]):
        runtimes = [runtime for runtime, entry in RUNTIMES.entries.items() if entry.extra == name]
        steps = [step for step, entry in STEPS.entries.items() if entry.extra == name]
        makes = dict.fromkeys(entry.makes for entry in STEPS.entries.values() if entry.extra == name)
        adds = [_PURPOSES[name]] if name in _PURPOSES else []
        adds += [f"runtime {runtime}" for runtime in runtimes]
        adds += [f"format {' and '.join(makes)}"] if makes else []
        adds += [f"steps {', '.join(steps)}"] if steps else []
        wanted = needed.get(name) or tuple(_DISTRIBUTIONS.get(runtime, runtime) for runtime in runtimes)
        missing = tuple(distribution for distribution in wanted if _version(distribution) is None)
        found.append(Extra(name, missing, "; ".join(adds)))
    return tuple(found)


def _requirements() -> dict[str, tuple[str, ...]]:
    """By extra, the distributions that it needs, those of extras within it included."""
    direct: dict[str, list[str]] = {}
    for requirement in metadata.requires("ftc") or ():
        name = re.match(r"([\w.-]+)(?:\[([\w,\s-]+)\])?", requirement)
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", requirement)
        if name and extra:
            within = [f"ftc[{part.strip()}]" for part in name[2].split(",")] if name[1] == "ftc" and name[2] else []
            direct.setdefault(extra[1], []).extend(within or [name[1]])
    resolved: dict[str, tuple[str, ...]] = {}
    for asked in direct:
        waiting, seen = list(direct[asked]), dict[str, None]()
        while waiting:
            wanted = waiting.pop(0)
            if wanted not in seen:
                seen[wanted] = None
                waiting += direct.get(wanted[4:-1], []) if wanted.startswith("ftc[") else []
        resolved[asked] = tuple(wanted for wanted in seen if not wanted.startswith("ftc["))
    return resolved


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _report(found: Diagnosis) -> str:
    from ftc.cli.show import size

    quota = f", with time for {found.cpu_quota:g} of them (control group)" if found.cpu_quota is not None else ""
    present = [name for name, there in found.instructions.items() if there]
    absent = [name for name, there in found.instructions.items() if not there]
    rows = [
        ("processor", f"{found.cpu} ({found.architecture})"),
        ("instructions", ", ".join(present) or "none that matter here"),
        *([("  without", ", ".join(absent))] if absent else []),
        ("INT8", found.int8),
        ("cores", f"{found.cores} that this process may use{quota}"),
        ("memory", f"{size(found.memory_bytes)}, {size(found.memory_available_bytes)} of it free"),
        *(("GPU", f"{name} (ftc bench --device cuda)") for name in found.graphics),
        *([] if found.graphics else [("GPU", "none, and none is needed")]),
        ("", ""),
        *((f"runtime {name}", _runtime(name, version)) for name, version in found.runtimes.items()),
        ("", ""),
        *((f"extra {extra.name}", _extra(extra)) for extra in found.extras),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}".rstrip() for name, value in rows)


def _runtime(name: str, version: str | None) -> str:
    from ftc.runtimes import RUNTIMES

    entry = RUNTIMES.entries[name]
    return f"{version}  {entry.summary}" if version else f"not installed: {installing(entry.extra or '')}"


def _extra(extra: Extra) -> str:
    if not extra.missing:
        return f"installed  {extra.adds}"
    return f"not installed ({', '.join(extra.missing)}): {installing(extra.name)}  adds {extra.adds}"
