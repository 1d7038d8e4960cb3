"""NVIDIA GPUs as their driver tells of them: which there are, which one is used, and what it has consumed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ftc.errors import InputError

_ASKING_S = 5.0
_QUERY = "index,uuid,name,memory.total,driver_version"
_VISIBLE = "CUDA_VISIBLE_DEVICES"

ORDER = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
"""Of processes that compute on a GPU: their numbers of GPUs are then those of the driver's own tool."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """What times on a GPU depend on.

    :param driver: its version
    """

    name: str
    memory_mib: int
    driver: str

    def __str__(self) -> str:
        return f"{self.name}, {self.memory_mib} MiB, driver {self.driver}"


@dataclass(frozen=True, slots=True)
class Listed:
    """:param index: in the order of the PCI bus
    :param uuid: of this very card
    """

    index: str
    uuid: str
    gpu: Gpu


def listed() -> tuple[Listed, ...]:
    """The GPUs of this machine, as `nvidia-smi` lists them; empty without one."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    try:
        answer = subprocess.run(
            [tool, f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=_ASKING_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()  # a tool that hangs or cannot be started belongs to a driver that is not there
    rows = [[field.strip() for field in line.split(",")] for line in answer.stdout.splitlines()]
    return tuple(
        Listed(index, uuid, Gpu(name, int(memory), driver))
        for index, uuid, name, memory, driver in (row for row in rows if len(row) == 5 and row[3].isdecimal())
        if answer.returncode == 0
    )


def chosen(environment: Mapping[str, str] = os.environ, asked: str = "--device") -> Listed:
    """The GPU that is used: the first, or the first that CUDA_VISIBLE_DEVICES names.

    :param asked: the option that asks for one, for the message
    :raises InputError: if there is none
    """
    cards = listed()
    visible = environment.get(_VISIBLE)
    if visible is not None:
        first = visible.split(",")[0].strip()
        cards = tuple(card for card in cards if first and (card.index == first or card.uuid.startswith(first)))
    if not cards:
        seen = (
            "nvidia-smi lists no GPU" if visible is None else f"{_VISIBLE}={visible} names none that nvidia-smi lists"
        )
        raise InputError(
            f"{asked} cuda needs an NVIDIA GPU with its driver, and {seen}. Leave {asked} out for the CPU."
        )
    return cards[0]


def energy_meter(uuid: str) -> Callable[[], int] | None:
    """What reads the energy in millijoules that a card has taken since its driver was loaded.

    :return: None where `nvidia-ml-py` is not installed, or the card does not tell
    """
    try:
        import pynvml
    except ModuleNotFoundError:
        return None
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError:
        return None  # cards before Volta, and virtual ones, do not count
    return lambda: int(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle))
