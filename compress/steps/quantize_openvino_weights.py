"""Smaller weights in an OpenVINO graph that computes in float: INT8 with NNCF, or float16."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import nncf
import openvino as ov

from compress import openvino_ir
from compress.step import Made
from ftc.console import progress
from ftc.errors import RunError

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from ftc.data import Dataset


@dataclass(frozen=True, slots=True)
class QuantizeOpenvinoWeightOnly:
    """:param symmetric: ranges of weights symmetric around zero; else each output channel has its zero point"""

    symmetric: bool = False

    name: ClassVar[str] = "quantize-openvino-weight-only"
    needs_data: ClassVar[bool] = False
    lossy: ClassVar[bool] = True
    revision: ClassVar[int] = 1

    @property
    def suffix(self) -> str:
        return "weight-only-int8" + ("-symmetric" if self.symmetric else "")

    def run(self, source: Artifact, draft: Path, data: Dataset | None) -> Made:
        mode = nncf.CompressWeightsMode.INT8_SYM if self.symmetric else nncf.CompressWeightsMode.INT8_ASYM
        with progress("quantizing weights to INT8"):
            try:
                small = nncf.compress_weights(openvino_ir.read(source), mode=mode)
            except (nncf.ValidationError, nncf.InternalError, nncf.UnsupportedModelError, RuntimeError) as error:
                raise RunError(f"{source.model_path}: NNCF cannot quantize its weights: {str(error)[:300]}") from error
            openvino_ir.forget_how(small)
            return _made(source, openvino_ir.write(small, draft))


@dataclass(frozen=True, slots=True)
class QuantizeOpenvinoFloat16:
    """float16 weights: half the size. Computing stays as it was, so that it is no faster on a CPU."""

    name: ClassVar[str] = "quantize-openvino-float16"
    needs_data: ClassVar[bool] = False
    lossy: ClassVar[bool] = True
    revision: ClassVar[int] = 1

    @property
    def suffix(self) -> str:
        return "float16"

    def run(self, source: Artifact, draft: Path, data: Dataset | None) -> Made:
        with progress("writing weights as float16"):
            graph: ov.Model = openvino_ir.read(source)
            return _made(source, openvino_ir.write(graph, draft, half=True))


def _made(source: Artifact, size_bytes: int) -> Made:
    return Made(
        run=source.manifest.run,
        inputs=source.manifest.inputs,
        outputs=source.manifest.outputs,
        facts=replace(source.manifest.facts, size_bytes=size_bytes),
    )
