"""Which files are Keras models, and what they hold, read without TensorFlow and without running anything in them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ftc.errors import InputError

SUFFIXES = (".keras", ".h5", ".hdf5")
SAVED_MODEL = "saved_model.pb"

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_CODE = frozenset({"Lambda", "__lambda__", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer"})
"""Classes that hold code, or a reference to some, instead of numbers."""
_LONGEST_CONFIG_BYTES = 64 << 20
_UNPACKED = 100
"""Weights hardly shrink when they are packed: an archive that grows more than this is made to fill a disk."""
_HDF5 = b"\x89HDF\r\n\x1a\n"


def is_keras(path: Path) -> bool:
    """Whether a path is named or laid out like a Keras model; says nothing of whether it is a sound one."""
    return path.suffix.lower() in SUFFIXES or (path / SAVED_MODEL).is_file()


def model_files(path: Path) -> tuple[Path, ...]:
    """The files that make up a model: the file itself, or what lies in a SavedModel directory."""
    if path.is_file():
        return (path,)
    weights = sorted(file for part in ("variables", "assets") for file in (path / part).rglob("*") if file.is_file())
    return (path / SAVED_MODEL, *weights)


def check(path: Path) -> None:
    """Refuse what is no whole model, or needs code of its own, before a library that could run it sees it.

    :raises InputError: if the file is damaged, holds weights alone, is quantized, or names code
    """
    if path.is_dir():
        if not (path / SAVED_MODEL).is_file():
            raise InputError(
                f"{path} is a directory without {SAVED_MODEL}: a Keras model is one file, or a SavedModel directory."
            )
        return
    # as Keras decides it: a file that is both must be read here as it will be there
    archive = path.suffix.lower() == ".keras" and zipfile.is_zipfile(path)
    config = _of_archive(path) if archive else _of_hdf5(path)
    if isinstance(config, dict):
        config.pop("compile_config", None)  # losses and metrics of the training, which are not loaded
    for part in _parts(config):
        _refuse_code(path, part)


def _of_archive(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            missing = [name for name in (_CONFIG, _WEIGHTS) if name not in names]
            if missing:
                raise InputError(
                    f"{path} is an archive without {' and '.join(missing)}, so it is no Keras model (it holds: "
                    f"{', '.join(names[:6]) or 'nothing'}). Save the whole model: model.save('model.keras')."
                )
            if archive.getinfo(_CONFIG).file_size > _LONGEST_CONFIG_BYTES:
                raise InputError(
                    f"{path}: its {_CONFIG} would unpack to more than any model's description; not opened."
                )
            if sum(entry.file_size for entry in archive.infolist()) > _UNPACKED * path.stat().st_size:
                raise InputError(f"{path} would unpack to more than {_UNPACKED} times its size; not opened.")
            damaged = archive.testzip()
            if damaged is not None:
                raise InputError(f"{path} is damaged: {damaged} in it has another checksum. Copy it again.")
            return json.loads(archive.read(_CONFIG))
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        raise InputError(f"{path} is damaged or was copied in part: {error}.") from error


def _of_hdf5(path: Path) -> Any:
    with path.open("rb") as file:
        begin = file.read(len(_HDF5))
    if begin != _HDF5:
        raise InputError(
            f"{path} is no Keras model: it is neither the archive that model.save('model.keras') writes nor an HDF5 "
            "file, or was copied in part."
        )
    import h5py

    try:
        with h5py.File(path, "r") as file:
            text = file.attrs.get("model_config")
            held = ", ".join(list(file.keys())[:6]) or "nothing"
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise InputError(f"{path} is damaged or was copied in part: {error}.") from error
    if text is None:
        raise InputError(
            f"{path} holds weights alone, without the model they belong to (it holds: {held}). "
            "Load them into the model and save it whole: model.save('model.keras')."
        )
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(f"{path}: the model's description is not readable ({error}); save the model again.") from error


def _parts(value: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object in a model's description that stands for an object of Python."""
    waiting = [value]
    while waiting:
        here = waiting.pop()
        if isinstance(here, dict):
            if "class_name" in here:
                yield here
            waiting += here.values()
        elif isinstance(here, list):
            waiting += here


def _refuse_code(path: Path, part: dict[str, Any]) -> None:
    name, module = str(part["class_name"]), part.get("module")
    config = part.get("config")
    place = f" (layer {config['name']!r})" if isinstance(config, dict) and "name" in config else ""
    if name in _CODE:
        raise InputError(
            f"{path}: {name}{place} holds code, and ftc does not run code from models. "
            "Rebuild the model with Keras's own layers, load the weights into it, and save it again."
        )
    if name == "QuantizedDTypePolicy":
        raise InputError(f"{path} is quantized already{place}. Give the float model.")
    own = str(part.get("registered_name") or name).partition(">")  # old files have a class's package in its name
    foreign = isinstance(module, str) and module.partition(".")[0] not in ("keras", "builtins")
    if foreign or (own[1] and own[0] != "keras"):
        raise InputError(
            f"{path}: {name}{place} is not one of Keras's own classes but of {module or own[0]}, and ftc does not run "
            "code that comes with models. Rebuild the model with Keras's own layers, or export it as a SavedModel: "
            "model.export('directory')."
        )
