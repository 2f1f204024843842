"""A model on OpenVINO: traced once for each input shape, compiled, and kept in the cache."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ptv_hub.errors import MissingExtra, WriteError
from ptv_hub.fetching import cache
from ptv_hub.files import atomic_write
from ptv_hub.models.builders import VideoModel

if TYPE_CHECKING:
    import openvino

_PRECISION = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}


class Runner:
    """Runs a folded model on OpenVINO's CPU plugin.

    Programs are compiled for one shape: the first call with another batch size takes seconds,
    in a later process a fraction of one.
    """

    def __init__(self, net: VideoModel, dtype: str, digest: str) -> None:
        try:
            import openvino
        except ImportError as error:
            raise MissingExtra("openvino", "openvino", needed_for="the backend") from error
        self._openvino = openvino
        self._core = openvino.Core()
        self._net = net
        self._identity = f"{digest} {net.entry.name} {dtype} {openvino.__version__}"
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
        result = self._compiled[key](arrays)
        return torch.from_numpy(result[0].copy())

    def _program(self, key: object, pathways: Sequence[Tensor]) -> openvino.CompiledModel:
        name = hashlib.sha256(f"{self._identity} {key}".encode()).hexdigest()[:32]
        # Straight in the cache's folder, where no fetched file lies.
        path = cache.folder() / f"openvino-{name}.blob"
        if path.is_file():
            try:
                return self._core.import_model(io.BytesIO(path.read_bytes()), "CPU", self._settings)
            except RuntimeError:  # of another machine, or damaged: compiled anew
                path.unlink(missing_ok=True)
        program = self._core.compile_model(self._traced(pathways), "CPU", self._settings)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as temporary:
                temporary.write_bytes(program.export_model().getvalue())
        except (OSError, WriteError):
            pass  # a folder that cannot be written: the next process compiles again
        return program

    def _traced(self, pathways: Sequence[Tensor]) -> openvino.Model:
        example = tuple(torch.zeros(p.shape) for p in pathways)
        # Not under inference mode: the tracer records autograd's state.
        with torch.inference_mode(False), torch.no_grad():
            traced = torch.jit.trace(_Plain(self._net), example, check_trace=False)
            model = self._openvino.convert_model(traced, example_input=example)
        model.reshape({i: list(p.shape) for i, p in enumerate(example)})
        return model


class _Plain(nn.Module):
    """The network without its checks, as a function of tensors: what the tracer takes."""

    def __init__(self, net: VideoModel) -> None:
        super().__init__()
        self.net = net

    def forward(self, *pathways: Tensor) -> Tensor:
        return self.net.through(list(pathways) if len(pathways) > 1 else pathways[0])
