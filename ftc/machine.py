"""The machine as far as models notice it: its processor, what of it this process may use."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

from ftc.runtimes.session import available_cores

INSTRUCTIONS = (
    "avx2",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "amx_int8",
    "amx_bf16",
    "asimd",
    "asimddp",
    "i8mm",
)
"""As /proc/cpuinfo spells them; the last three are ARM's."""

_CPUINFO = Path("/proc/cpuinfo")
_CGROUP = Path("/sys/fs/cgroup")

_UNLIMITED_BYTES = 2**60
"""The older interface says no limit with a number near 2**63."""


@dataclass(frozen=True, slots=True)
class Processor:
    """:param instructions: those of `INSTRUCTIONS` that it has
    :param cores: that this process may run on
    :param quota: cores' worth of time that its control group allows; None for no limit
    """

    model: str
    architecture: str
    instructions: tuple[str, ...]
    cores: int
    quota: float | None


def processor() -> Processor:
    """The processor as it is now; what the system does not tell is left out."""
    told = _cpuinfo()
    flags = set((told.get("flags") or told.get("Features") or "").split())
    return Processor(
        model=told.get("model name") or platform.processor() or platform.machine(),
        architecture=platform.machine(),
        instructions=tuple(name for name in INSTRUCTIONS if name in flags),
        cores=available_cores(),
        quota=_cpu_quota(),
    )


def text_of(path: Path) -> str | None:
    """What a file of the system says; None if it is not offered by this system, or not to this user."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return None


def _cpuinfo() -> dict[str, str]:
    pairs = (line.partition(":") for line in (text_of(_CPUINFO) or "").split("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def memory_limit_bytes() -> int | None:
    """What this process's control group may hold in memory, by either version of the interface; None for no limit."""
    for line in (text_of(Path("/proc/self/cgroup")) or "").splitlines():
        _, controllers, path = line.split(":", 2)
        for group in (path.lstrip("/"), ""):
            if not controllers:
                limit = text_of(_CGROUP / group / "memory.max")
            elif "memory" in controllers.split(","):
                limit = text_of(_CGROUP / "memory" / group / "memory.limit_in_bytes")
            else:
                continue
            if limit is not None and limit.isdigit() and int(limit) < _UNLIMITED_BYTES:
                return int(limit)
    return None


def _cpu_quota() -> float | None:
    """Cores' worth of time that this process's control group allows, by either version of the interface."""
    for line in (text_of(Path("/proc/self/cgroup")) or "").splitlines():
        _, controllers, path = line.split(":", 2)
        for group in (path.lstrip("/"), ""):  # inside a container the group is often mounted as the root
            if not controllers:
                limit = text_of(_CGROUP / group / "cpu.max")
                if limit is not None and not limit.startswith("max"):
                    quota, period = limit.split()
                    return int(quota) / int(period)
            elif "cpu" in controllers.split(","):
                legacy_quota = text_of(_CGROUP / "cpu" / group / "cpu.cfs_quota_us")
                legacy_period = text_of(_CGROUP / "cpu" / group / "cpu.cfs_period_us")
                if legacy_quota is not None and legacy_period is not None and int(legacy_quota) > 0:
                    return int(legacy_quota) / int(legacy_period)
    return None
