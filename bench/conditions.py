"""What a measurement depends on besides the model: the machine, its load, and the libraries."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

import psutil

from ftc.measurement import Machine
from ftc.runtimes.session import available_cores

INSTRUCTIONS = (
    "avx2",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "amx_int8",
    "amx_bf16",
    "asimddp",
    "i8mm",
)
"""As /proc/cpuinfo spells them; the last two are ARM's."""

LIBRARIES = ("ftc", "torch", "transformers", "onnxruntime", "tokenizers", "numpy", "pillow")

BUSY_OVER_S = 0.5

_CPUINFO = Path("/proc/cpuinfo")
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
_CGROUP = Path("/sys/fs/cgroup")


def machine() -> Machine:
    """The machine as it is now; what the system does not tell is None."""
    cpuinfo = _cpuinfo()
    flags = set((cpuinfo.get("flags") or cpuinfo.get("Features") or "").split())
    installed = {distribution.name.lower() for distribution in metadata.distributions() if distribution.name}
    return Machine(
        cpu=cpuinfo.get("model name") or platform.processor() or platform.machine(),
        instructions=tuple(name for name in INSTRUCTIONS if name in flags),
        cores=available_cores(),
        cpu_quota=_cpu_quota(),
        governor=_text(_GOVERNOR),
        busy_cores=psutil.cpu_percent(interval=BUSY_OVER_S) / 100 * (psutil.cpu_count() or 1),
        memory_bytes=int(psutil.virtual_memory().total),
        platform=platform.platform(),
        python=platform.python_version(),
        versions={name: metadata.version(name) for name in LIBRARIES if name in installed},
    )


def _cpuinfo() -> dict[str, str]:
    pairs = (line.partition(":") for line in (_text(_CPUINFO) or "").split("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _cpu_quota() -> float | None:
    """Cores' worth of time that this process's control group allows, by either version of the interface."""
    for line in (_text(Path("/proc/self/cgroup")) or "").splitlines():
        _, controllers, path = line.split(":", 2)
        for group in (path.lstrip("/"), ""):  # inside a container the group is often mounted as the root
            if not controllers:
                limit = _text(_CGROUP / group / "cpu.max")
                if limit is not None and not limit.startswith("max"):
                    quota, period = limit.split()
                    return int(quota) / int(period)
            elif "cpu" in controllers.split(","):
                legacy_quota = _text(_CGROUP / "cpu" / group / "cpu.cfs_quota_us")
                legacy_period = _text(_CGROUP / "cpu" / group / "cpu.cfs_period_us")
                if legacy_quota is not None and legacy_period is not None and int(legacy_quota) > 0:
                    return int(legacy_quota) / int(legacy_period)
    return None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return None  # not offered by this system, or not to this user
