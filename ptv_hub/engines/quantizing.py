"""A graph of OpenVINO or ONNX -> the same in eight bits, by NNCF's post-training quantization."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ptv_hub.engines import untold
from ptv_hub.engines.folding import without_part
from ptv_hub.engines.kept import Role, role_of
from ptv_hub.errors import MissingExtra, QuantizationError
from ptv_hub.models.builders import ACTIVATIONS, Activation, VideoModel
from ptv_hub.models.checkpointing import plainly
from ptv_hub.models.roads import road_of

if TYPE_CHECKING:
    import openvino


def require_extra() -> None:
    """Raises MissingExtra: NNCF or OpenVINO is not installed."""
    for package in ("openvino", "nncf"):
        if find_spec(package) is None:
            raise MissingExtra(package, "int8", needed_for="int8")


class Plain(nn.Module):
    """A network without its checks, as a function of pathways: what a tracer takes.

    Its parts alone, under their names: a tracer asks a module for every property that it has,
    and those of a ``VideoModel`` say of some networks why they are not there.
    """

    def __init__(self, net: VideoModel) -> None:
        super().__init__()
        self.net = nn.Module()
        for name, part in net.named_children():
            self.net.add_module(name, part)
        self._road = road_of(net.entry)
        owner, place = self._road.activation(net)
        if owner is net:
            setattr(self.net, place, getattr(net, place))

    def forward(self, *pathways: Tensor) -> Tensor:
        body, head = self._road.body, self._road.head
        features = body(self.net, list(pathways) if len(pathways) > 1 else pathways[0], plainly)
        return head(self.net, features, None)


class PositionLogits(Plain):
    """A network up to the logits at each position of its head."""

    def forward(self, *pathways: Tensor) -> Tensor:
        with without_part(self._road.parts(self.net)[-1], "output_pool"):
            return super().forward(*pathways)


def scores_of(logits: Tensor, activation: Activation | None) -> Tensor:
    """(B, classes, positions...) -> (B, classes): the activation at each position, the mean."""
    made = ACTIVATIONS[activation]()
    values = logits if made is None else made(logits)
    return values.flatten(2).mean(dim=2) if values.dim() > 2 else values


def traced(module: nn.Module, example: Sequence[Tensor]) -> openvino.Model:
    """A module as OpenVINO's model, for any number of views; its inputs in the order given."""
    openvino = untold.openvino()

    # Not under inference mode: the tracer records autograd's state.
    with torch.inference_mode(False), torch.no_grad():
        program = torch.jit.trace(module, tuple(example), check_trace=False)
        model = openvino.convert_model(program, example_input=tuple(example))
    model.reshape({i: [-1, *one.shape[1:]] for i, one in enumerate(example)})
    return model


def with_nncf(model: Any, inputs: Sequence[Any], net: VideoModel, kept: Sequence[Role]) -> Any:
    """A model of OpenVINO or ONNX in eight bits, but for the layers of the roles that are kept.

    Args:
        inputs: of each view to calibrate on what the model takes: arrays in order, or by name.

    Raises:
        QuantizationError: NNCF cannot do it, or there are no views.
    """
    nncf = untold.nncf()

    if not inputs:
        raise QuantizationError("no view to calibrate on", fix="other videos")
    names = [name for name, role in layers(model, net) if role in kept]
    names += list(_last_means(model))
    with _quiet():
        try:
            return nncf.quantize(
                model,
                nncf.Dataset(list(inputs)),
                # Weights symmetric, activations not: Swish's are mostly above zero, and some below.
                preset=nncf.QuantizationPreset.MIXED,
                subset_size=len(inputs),
                ignored_scope=nncf.IgnoredScope(names=names) if names else None,
                # Processors without VNNI add pairs of products in 16 bits, which overflow.
                advanced_parameters=nncf.AdvancedQuantizationParameters(
                    overflow_fix=nncf.OverflowFix.ENABLE
                ),
            )
        except (RuntimeError, ValueError, nncf.ValidationError, nncf.InternalError) as error:
            raise QuantizationError(
                f"{net.entry.name} could not be quantized",
                where=f"nncf {version('nncf')}",
                found=(str(error).splitlines() or [type(error).__name__])[0][:300],
            ) from error


def layers(model: Any, net: VideoModel) -> Iterator[tuple[str, Role]]:
    """Name and role of every layer that has weights, of OpenVINO's or ONNX's model."""
    if hasattr(model, "get_ordered_ops"):
        for op in model.get_ordered_ops():
            kind, name = op.get_type_name(), op.get_friendly_name()
            if kind in ("Convolution", "GroupConvolution", "MatMul"):
                yield name, role_of(_module(name), net, depthwise=kind == "GroupConvolution")
        return
    for node in model.graph.node:
        if node.op_type in ("Conv", "MatMul", "Gemm"):
            groups = {one.name: one.i for one in node.attribute}.get("group", 1)
            yield node.name, role_of(_scope(node), net, depthwise=groups > 1)


def _last_means(model: Any) -> Iterator[str]:
    """The mean over positions, of scores or logits, which eight bits would tell in 256 steps."""
    if hasattr(model, "get_ordered_ops"):
        for op in model.get_ordered_ops():
            name = op.get_friendly_name()
            if "output_pool" in name and op.get_type_name() in _MEANS:
                yield name
        return
    for node in model.graph.node:
        if node.op_type in _MEANS and "output_pool" in str(node.metadata_props):
            yield node.name


_MEANS = ("ReduceMean", "AvgPool", "AdaptiveAvgPool", "AveragePool", "GlobalAveragePool")


def _module(name: str) -> str:
    """Name of the module that the tracer made one of OpenVINO's operations of."""
    found = re.match(r"(?:\w+\.)*?(?:net|model)\.([^/]*)", name)
    return found[1] if found else ""


def _scope(node: Any) -> str:
    """Name of the module that torch's exporter made an ONNX node of."""
    told = {one.key: one.value for one in node.metadata_props}
    scopes = told.get("pkg.torch.onnx.name_scopes", "")
    names = [part.strip("'\" []") for part in scopes.split(",")]
    inner = [name.partition("model.")[2] for name in names if "model." in name]
    return inner[-1] if inner else ""


def pathways_of(net: VideoModel, clip: Tensor) -> list[Tensor]:
    """What the network takes for clips (B, 3, T, S, S), as a list, each in memory of its own."""
    pathways = net.pathways(clip)
    listed = [pathways] if isinstance(pathways, Tensor) else pathways
    return [one.contiguous() for one in listed]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without NNCF's talk and bars, which go to stdout: what is to be said, the caller says."""
    logger = logging.getLogger("nncf")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(before)
