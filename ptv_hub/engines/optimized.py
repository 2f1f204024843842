"""The table of backends, and the model that runs on one of them."""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, NoReturn

import torch
from torch import Tensor, nn
from typing_extensions import Self

from ptv_hub.engines.folding import FusedConv, fold, pack_weights
from ptv_hub.engines.processor import computes_bf16
from ptv_hub.errors import MissingExtra, PtvHubError, UnknownName, UsageError, WrongInput
from ptv_hub.models.boxes import refuse_boxes
from ptv_hub.models.builders import Activation, VideoModel
from ptv_hub.models.digest import digest
from ptv_hub.models.roads import Pathways

if TYPE_CHECKING:
    from ptv_hub.engines.calibrated import CalibrationViews, Quantized

log = logging.getLogger("ptv_hub")

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""Types that torch computes in."""

INT8 = "int8"
"""What only OpenVINO computes in here, calibrated on videos: see ``int8``."""

CLOSE = 1e-5
"""How far ``auto`` lets a score be from the model's own."""

ROUGH = 1e-2
"""How far bfloat16 may be: who tolerates so much is offered it."""

Run = Callable[[Pathways], Tensor]
"""From what ``VideoModel.pathways`` returns to the model's output."""


@dataclass(frozen=True)
class Trial:
    """What ``auto`` found of one backend, on one view."""

    backend: str
    seconds: float | None = None
    """Of one view, the median of three; ``None`` where it failed."""
    difference: float | None = None
    """The largest of a score from the model's own."""
    first_seconds: float | None = None
    """Of the first call: compiling included."""
    error: str | None = None
    dtype: str = "fp32"
    within: float = CLOSE
    """How far a score may be from the model's own."""

    @property
    def equal(self) -> bool:
        return self.difference is not None and self.difference <= self.within


class OptimizedModel(nn.Module):
    """A model of the zoo made faster; called as the model is, it returns the same numbers.

    It carries ``entry`` and ``activation`` as a ``VideoModel`` does, and says what it is:
    ``backend``, ``dtype``, and of ``auto`` the ``trials``. Its weights are no longer those of
    the zoo, so that it has no state dict; ``weights_digest`` is that of the weights it came from.
    """

    def __init__(
        self,
        net: VideoModel,
        backend: str,
        dtype: str,
        weights_digest: str,
        quantized: Quantized | None = None,
    ) -> None:
        super().__init__()
        self._net = net
        self.quantized = quantized
        """Of int8 the file in the cache, and what is known of it."""
        self.entry, self.origin = net.entry, net.origin
        self.backend = backend
        self.dtype = dtype
        self.weights_digest = weights_digest
        self.trials: tuple[Trial, ...] = ()
        self._run = BACKENDS[backend](self)
        super().train(False)

    @property
    def activation(self) -> Activation | None:
        """As of a ``VideoModel``."""
        return self._net.activation

    @activation.setter
    def activation(self, name: Activation | None) -> None:
        self._net.activation = name

    def forward(self, clip: Tensor | Sequence[Tensor]) -> Tensor:
        with torch.inference_mode():
            return self._run(self._net.pathways(clip)).float()

    def train(self, mode: bool = True) -> Self:
        if mode:
            self._refuse("cannot be trained")
        return super().train(False)

    def state_dict(self, *args: object, **kwargs: object) -> NoReturn:
        """Raises UsageError: what it would give is no checkpoint of the model."""
        self._refuse("has no state dict: its batch norms are folded into other weights")

    def load_state_dict(self, *args: object, **kwargs: object) -> NoReturn:
        """Raises UsageError."""
        self._refuse("takes no weights")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        self._refuse("is not for a file")

    def _refuse(self, what: str) -> NoReturn:
        raise UsageError(
            f"an optimized model {what}",
            where=f"{self.entry.name} on {self.backend}",
            fix="use the model it was made from, as ptv_hub.load(name) returns it",
        )

    def _apply(self, function: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        if self.backend == "openvino":
            device = function(torch.empty(0)).device
            if device.type != "cpu":
                raise UsageError("OpenVINO runs on the CPU here", found=str(device))
            return self
        nn.Module._apply(self, function, recurse)
        self._run = BACKENDS[self.backend](self)
        return self


def _torch(model: OptimizedModel) -> Run:
    net, dtype = model._net, DTYPES[model.dtype]
    device = _device(net)
    for module in net.modules():
        if isinstance(module, FusedConv):
            module.cast(dtype)
    if device.type == "cpu":
        pack_weights(net, dtype)
    return _eager(net, dtype, device)


def _eager(net: VideoModel, dtype: torch.dtype, device: torch.device) -> Run:
    def run(pathways: Pathways) -> Tensor:
        cast = nullcontext() if dtype is torch.float32 else torch.autocast(device.type, dtype=dtype)
        with cast:
            return net.through(_channels_last(pathways))

    return run


def _channels_last(pathways: Pathways) -> Pathways:
    kind = torch.channels_last_3d
    if isinstance(pathways, Tensor):
        return pathways.contiguous(memory_format=kind)
    return [pathway.contiguous(memory_format=kind) for pathway in pathways]


def _compile(model: OptimizedModel) -> Run:
    net, dtype = model._net, DTYPES[model.dtype]
    for module in net.modules():
        if isinstance(module, FusedConv):
            module.cast(dtype)
    return torch.compile(_eager(net, dtype, _device(net)), dynamic=False)


def _openvino(model: OptimizedModel) -> Run:
    from ptv_hub.engines.openvino import Runner

    runner = Runner(model._net, model.dtype, model.weights_digest, model.quantized)
    return lambda pathways: runner([pathways] if isinstance(pathways, Tensor) else pathways)


BACKENDS: dict[str, Callable[[OptimizedModel], Run]] = {
    "torch": _torch,
    "compile": _compile,
    "openvino": _openvino,
}


def installed(device: str = "cpu") -> tuple[str, ...]:
    """The backends that can be used here."""
    found = ["torch"]
    if device != "cpu" or shutil.which(os.environ.get("CXX", "g++")):
        found.append("compile")
    if device == "cpu" and find_spec("openvino") is not None:
        found.append("openvino")
    return tuple(found)


def optimize(
    model: VideoModel,
    backend: str = "torch",
    *,
    dtype: str = "fp32",
    calibration: CalibrationViews | None = None,
    within: float = CLOSE,
) -> OptimizedModel:
    """A faster model that gives the same scores; ``model`` is not changed and shares its tensors.

    Args:
        model: what ``ptv_hub.load`` returns, in eval mode, on the device it is to run on.
        backend: ``torch``, ``compile``, ``openvino``; ``auto`` tries those installed on one view
            and takes the fastest whose scores are within 1e-5 of the model's: see ``trials``.
            With ``compile`` among them that takes a minute.
        dtype: ``fp32``; ``bf16``, whose scores differ by up to 1e-2, faster where the
            processor has instructions for it and slower where not; ``fp16``, on GPUs; ``int8``,
            of ``openvino`` alone.
        calibration: what int8 is calibrated on (``ptv_hub.datasets.calibration``); without it
            what was quantized of these weights before is taken from the cache.
        within: how far ``auto`` may be from the model's scores; from 1e-2 on it also tries bf16,
            where the processor computes it.

    Raises:
        UnknownName: no such backend or dtype.
        MissingExtra: OpenVINO is not installed.
        UsageError: a model in training mode or one that takes boxes, or a dtype that the device or
            ``auto`` has not.
        QuantizationError: the model in int8 does not agree with the one in float32.
        WrongInput: not a model of ``ptv_hub.load``.
    """
    if not isinstance(model, VideoModel):
        raise WrongInput(
            "not a model that can be made faster",
            expected="what ptv_hub.load returns",
            found=f"a {type(model).__name__}",
        )
    refuse_boxes(model.entry, "an optimized model")
    if model.training:
        raise UsageError("the model is in training mode", fix="model.eval()")
    if dtype not in (*DTYPES, INT8):
        raise UnknownName("dtype", dtype, (*DTYPES, INT8))
    device = _device(model)
    if dtype == INT8:
        return _in_int8(model, backend, device, calibration)
    if dtype == "fp16" and device.type == "cpu":
        raise UsageError("fp16 is for GPUs", found="a model on the CPU", fix="fp32 or bf16")
    if backend == "auto":
        return _fastest(model, dtype, within)
    if backend not in BACKENDS:
        raise UnknownName("backend", backend, (*BACKENDS, "auto"))
    if backend == "openvino" and find_spec("openvino") is None:
        raise MissingExtra("openvino", "openvino", needed_for="the backend")
    if backend == "openvino" and device.type != "cpu":
        raise UsageError("OpenVINO runs on the CPU here", found=str(device))
    net, _ = fold(model)
    net.origin = model.origin
    return OptimizedModel(net, backend, dtype, digest(model.state_dict()))


def _in_int8(
    model: VideoModel, backend: str, device: torch.device, calibration: CalibrationViews | None
) -> OptimizedModel:
    from ptv_hub.engines.int8 import quantize
    from ptv_hub.engines.quantizing import require_extra

    if backend != "openvino" or device.type != "cpu":
        raise UsageError(
            "int8 is computed by OpenVINO on the CPU alone",
            found=f"{backend} on {device.type}",
            fix="--backend openvino --device cpu, or another dtype: fp32, bf16, fp16 on GPUs",
        )
    if calibration is not None or find_spec("openvino") is None:
        require_extra()
    weights = digest(model.state_dict())
    net, _ = fold(model)
    net.origin = model.origin
    reference = optimize(model, "torch")
    reference.activation = model.entry.protocol.activation
    quantized = quantize(net, weights, calibration, reference)
    return OptimizedModel(net, "openvino", INT8, weights, quantized)


def _fastest(model: VideoModel, dtype: str, within: float) -> OptimizedModel:
    if dtype != "fp32":
        raise UsageError(
            "'auto' promises equal scores, which only fp32 can give",
            found=dtype,
            fix="name a backend with this dtype; or within=1e-2, for the fastest that is so near",
        )
    spec, device = model.entry.input, _device(model)
    # Its own generator: nobody's random numbers change.
    clip = torch.randn(
        (1, 3, spec.num_frames, spec.crop_size, spec.crop_size),
        generator=torch.Generator().manual_seed(0),
    ).to(device)
    with torch.inference_mode():
        wanted = model(clip)
    found: list[tuple[Trial, OptimizedModel]] = []
    trials: list[Trial] = []
    kinds = ("fp32", "bf16") if within >= ROUGH and computes_bf16(device) else ("fp32",)
    for kind, name in itertools.product(kinds, installed(device.type)):
        try:
            made = optimize(model, name, dtype=kind)
            trial = _tried(made, clip, wanted, within)
            found.append((trial, made))
        except PtvHubError:
            raise
        except Exception as error:  # a compiler's: the others are to be tried
            told = f"{type(error).__name__}: {str(error).splitlines()[:1]}"
            trial = Trial(name, error=told, dtype=kind)
        trials.append(trial)
        log.info("%s on %s: %s", model.entry.name, name, trial)
    best = min((f for f in found if f[0].equal), key=lambda f: f[0].seconds or 0.0, default=None)
    if best is None:
        raise UsageError(
            "no backend gives the model's scores",
            expected=f"within {within:g}",
            found="; ".join(f"{t.backend}: {t.error or t.difference}" for t in trials),
            fix="use the model as it is",
        )
    best[1].trials = tuple(trials)
    return best[1]


def _tried(model: OptimizedModel, clip: Tensor, wanted: Tensor, within: float) -> Trial:
    def seconds() -> float:
        start = time.perf_counter()
        model(clip)
        return time.perf_counter() - start

    start = time.perf_counter()
    difference = float((model(clip) - wanted).abs().max())
    return Trial(
        backend=model.backend,
        first_seconds=time.perf_counter() - start,
        difference=difference,
        seconds=statistics.median(seconds() for _ in range(3)),
        dtype=model.dtype,
        within=within,
    )


def _device(net: nn.Module) -> torch.device:
    return next(net.parameters()).device
