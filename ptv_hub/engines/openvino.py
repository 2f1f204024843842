"""A model on OpenVINO: traced once for each input shape, compiled, and kept in the cache."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ptv_hub.engines import untold
from ptv_hub.engines.calibrated import Quantized
from ptv_hub.engines.quantizing import Plain, scores_of, traced
from ptv_hub.errors import MissingExtra, WriteError
from ptv_hub.fetching import cache
from ptv_hub.files import atomic_write
from ptv_hub.models.builders import VideoModel

if TYPE_CHECKING:
    import openvino

_PRECISION = {"fp32": "f32", "bf16": "bf16", "fp16": "f16", "int8": "f32"}
"""Of int8 that of what is not quantized."""


class Runner:
    """Runs a folded model on OpenVINO's CPU plugin.

    Programs are compiled for one shape: the first call with another batch size takes seconds,
    in a later process a fraction of one.
    """

    def __init__(
        self, net: VideoModel, dtype: str, digest: str, quantized: Quantized | None = None
    ) -> None:
        try:
            made = untold.openvino()
        except ImportError as error:
            raise MissingExtra("openvino", "openvino", needed_for="the backend") from error
        self._core = made.Core()
        self._net = net
        self._quantized = quantized
        self._identity = f"{digest} {net.entry.name} {dtype} {made.__version__}"
        if quantized is not None:
            self._identity += f" {quantized.identity}"
        self._settings = {
            # Left to itself it computes in bfloat16 where the CPU can.
            "INFERENCE_PRECISION_HINT": _PRECISION[dtype],
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        self._compiled: dict[object, openvino.CompiledModel] = {}

    def __call__(self, pathways: Sequence[Tensor]) -> Tensor:
        arrays = [pathway.to(torch.float32).contiguous().numpy() for pathway in pathways]
        key = (self._net.activation, *(array.shape for array in arrays))
        if key not in self._compiled:
            self._compiled[key] = self._program(key, pathways)
        result = torch.from_numpy(self._compiled[key](arrays)[0].copy())
        return result if self._quantized is None else scores_of(result, self._net.activation)

    def _program(self, key: object, pathways: Sequence[Tensor]) -> openvino.CompiledModel:
        name = hashlib.sha256(f"{self._identity} {key}".encode()).hexdigest()[:32]
        # Straight in the cache's folder, where no fetched file lies.
        path = cache.folder() / f"openvino-{name}.blob"
        if path.is_file():
            try:
                return self._core.import_model(io.BytesIO(path.read_bytes()), "CPU", self._settings)
            except RuntimeError:  # of another machine, or damaged: compiled anew
                path.unlink(missing_ok=True)
        program = self._core.compile_model(self._model(pathways), "CPU", self._settings)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as temporary:
                temporary.write_bytes(program.export_model().getvalue())
        except (OSError, WriteError):
            pass  # a folder that cannot be written: the next process compiles again
        return program

    def _model(self, pathways: Sequence[Tensor]) -> openvino.Model:
        example = [torch.zeros(p.shape) for p in pathways]
        if self._quantized is None:
            model = traced(Plain(self._net), example)
        else:
            model = self._core.read_model(self._quantized.path)
        model.reshape({i: list(p.shape) for i, p in enumerate(example)})
        return model
