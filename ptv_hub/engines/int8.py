"""A network -> the same in eight bits: NNCF's post-training quantization, once, kept in the cache.

The file holds the network up to the logits at each position of the head, so that activation and
mean are the model's own, in float32; and it says what it was calibrated on, which float weights
it came from, and how near its scores were to theirs on views that it was not calibrated on.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ptv_hub.engines import untold
from ptv_hub.engines.agreement import agreement, require
from ptv_hub.engines.calibrated import Calibration, CalibrationViews, Quantization, Quantized
from ptv_hub.engines.kept import Role, kept_of
from ptv_hub.engines.quantizing import (
    PositionLogits,
    pathways_of,
    require_extra,
    scores_of,
    traced,
    with_nncf,
)
from ptv_hub.errors import UsageError, WriteError
from ptv_hub.fetching import cache
from ptv_hub.models.builders import VideoModel, activated

if TYPE_CHECKING:
    import openvino

ARITHMETIC = {"INFERENCE_PRECISION_HINT": "f32"}
"""Of what is not quantized."""

_PLACE = ["ptv_hub", "quantization"]


def quantize(
    net: VideoModel,
    weights_digest: str,
    views: CalibrationViews | None,
    wanted: Callable[[Tensor], Tensor],
) -> Quantized:
    """The folded network in eight bits, from the cache if it is there.

    Args:
        net: folded (``folding.fold``) and not packed, in eval mode, on the CPU.
        weights_digest: of the weights before they were folded.
        views: what to calibrate on; ``None`` takes what the cache holds of these weights.
        wanted: the float32 model: clips (B, 3, T, S, S) -> the scores of its protocol.

    Raises:
        UsageError: no views, and not exactly one quantized file in the cache; or a model for boxes.
        MissingExtra: OpenVINO or, where it is to be made, NNCF is not installed.
        QuantizationError: the result does not agree with float32; nothing is kept.
    """
    if net.entry.head.takes_boxes:
        raise UsageError("int8 is for models that score views", found=net.entry.name)
    kept = kept_of(net)
    if views is None:
        return _only_one(net, weights_digest)
    path = cache.folder() / f"int8-{_identity(net, weights_digest, views.record, kept)}.xml"
    known = _read(path) if path.is_file() else None
    if known is None:
        known = _made(path, net, weights_digest, views, wanted, kept)
    require(known.agreement, net.entry.name)
    return Quantized(path, known)


def _made(
    path: Path,
    net: VideoModel,
    weights_digest: str,
    views: CalibrationViews,
    wanted: Callable[[Tensor], Tensor],
    kept: tuple[Role, ...],
) -> Quantization:
    """Quantize, compare, and only then keep it."""
    require_extra()
    spec = net.entry.input
    one = torch.zeros(1, 3, spec.num_frames, spec.crop_size, spec.crop_size)
    inputs = [
        [pathway.numpy() for pathway in pathways_of(net, view[None])]
        for view in views.calibrating()
    ]
    with activated(net, None):
        model = traced(PositionLogits(net), pathways_of(net, one))
    made = with_nncf(model, inputs, net, kept)
    found = agreement(wanted, scores_by(made, net), views.held_out())
    require(found, net.entry.name)
    calibration = views.record.model_copy(
        update={"views": len(inputs), "held_out_views": found.views}
    )
    record = Quantization(
        name=net.entry.name,
        weights_digest=weights_digest,
        calibration=calibration,
        kept=kept,
        agreement=found,
        made_with=f"nncf {version('nncf')}, openvino {version('openvino')}",
    )
    made.set_rt_info(record.model_dump_json(), _PLACE)
    _save(made, path)
    return record


def scores_by(model: openvino.Model, net: VideoModel) -> Callable[[Tensor], Tensor]:
    """A model of OpenVINO that gives logits at positions -> clips to the protocol's scores."""
    openvino = untold.openvino()

    compiled = openvino.Core().compile_model(model, "CPU", ARITHMETIC)
    activation = net.entry.protocol.activation

    def run(clip: Tensor) -> Tensor:
        found = compiled([pathway.numpy() for pathway in pathways_of(net, clip)])
        return scores_of(torch.from_numpy(found[0].copy()), activation)

    return run


# ---------------------------------------------------------------------------- the cache


def _identity(
    net: VideoModel, weights_digest: str, calibration: Calibration, kept: Sequence[Role]
) -> str:
    words = (net.entry.name, weights_digest, calibration.digest, *kept, version("openvino"))
    # Weights first, so that those of a model can be found without knowing the calibration.
    rest = hashlib.sha256(" ".join(words).encode()).hexdigest()[:16]
    return f"{weights_digest[:16]}-{rest}"


def _only_one(net: VideoModel, weights_digest: str) -> Quantized:
    found = []
    for path in sorted(cache.folder().glob(f"int8-{weights_digest[:16]}-*.xml")):
        record = _read(path)
        if record is not None and record.weights_digest == weights_digest:
            found.append(Quantized(path, record))
    if len(found) != 1:
        told = "; ".join(one.record.calibration.source for one in found)
        raise UsageError(
            "int8 is calibrated on videos, and none are named",
            where=net.entry.name,
            expected="videos like those it will see, or one quantized file in the cache",
            found=f"{len(found)} quantized files{f', calibrated on: {told}' if told else ''}",
            fix="eval, bench and export take --calibrate FOLDER, or a list of videos; what they "
            "make is kept, and used the next time",
        )
    require(found[0].record.agreement, net.entry.name)
    return found[0]


def _read(path: Path) -> Quantization | None:
    """What a file says of itself; ``None`` where it cannot be read: it is made anew."""
    openvino = untold.openvino()

    try:
        model = openvino.Core().read_model(path)
        return Quantization.model_validate_json(model.get_rt_info(_PLACE).astype(str))
    except (RuntimeError, ValueError):
        return None


def _save(model: openvino.Model, path: Path) -> None:
    """Both files whole under their names, the one that is opened last."""
    openvino = untold.openvino()

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".int8.") as folder:
            written = Path(folder, path.name)
            openvino.save_model(model, written, compress_to_fp16=False)
            for file in (written.with_suffix(".bin"), written):
                os.replace(file, path.parent / file.name)
    except OSError as error:
        raise WriteError.because(error, path) from error
