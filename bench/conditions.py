"""What a measurement depends on besides the model: the machine, its load, and the libraries."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

import psutil

from ftc.machine import memory_limit_bytes, processor, text_of
from ftc.measurement import Machine

LIBRARIES = (
    "ftc",
    "torch",
    "transformers",
    "onnxruntime",
    "onnxruntime-gpu",
    "tensorrt",
    "ai-edge-litert",
    "openvino",
    "keras",
    "tokenizers",
    "numpy",
    "pillow",
)

BUSY_OVER_S = 0.5

_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def machine() -> Machine:
    """The machine as it is now; what the system does not tell is None."""
    cpu = processor()
    return Machine(
        cpu=cpu.model,
        instructions=cpu.instructions,
        cores=cpu.cores,
        cpu_quota=cpu.quota,
        governor=text_of(_GOVERNOR),
        busy_cores=_busy_cores(),
        memory_bytes=int(psutil.virtual_memory().total),
        platform=platform.platform(),
        python=platform.python_version(),
        versions=versions(),
        load_1min=round(psutil.getloadavg()[0], 2),
        memory_available_bytes=int(psutil.virtual_memory().available),
        memory_limit_bytes=memory_limit_bytes(),
    )


def versions() -> dict[str, str]:
    """Of what is installed that times depend on."""
    return {name: version for name in LIBRARIES if (version := _version(name)) is not None}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _busy_cores() -> float:
    """Cores' worth of time that other work takes of the cores that this process may use."""
    busy = dict(enumerate(psutil.cpu_percent(interval=BUSY_OVER_S, percpu=True)))
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else busy.keys()
    return float(sum(busy.get(core, 0.0) for core in allowed)) / 100
