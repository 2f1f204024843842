"""The straight road: a name -> a ready model with its weights, in eval mode."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

import torch
from torch import Tensor

from ptv_hub.engines.device import usable_device
from ptv_hub.errors import KeyMismatch, UsageError
from ptv_hub.models.builders import Activation, VideoModel, build
from ptv_hub.models.heads import new_classifier
from ptv_hub.models.stage_model import StageModel
from ptv_hub.weights.admission import admitted, fetched_origin
from ptv_hub.weights.named import Named, named
from ptv_hub.weights.opened import OpenedWeights
from ptv_hub.weights.other_code import warn_of_other_code
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.model_names import ModelName

if TYPE_CHECKING:
    from ptv_hub.fetching.artifacts import Fetched

log = logging.getLogger("ptv_hub")


@dataclass(frozen=True)
class KeyFit:
    """How a state dict fits a model, by official key."""

    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()
    """``key: shape in the file, shape in the model``"""
    dropped: tuple[str, ...] = ()
    """Keys left out by a rule, each with its reason."""

    @property
    def fits(self) -> bool:
        return not (self.missing or self.unexpected or self.mismatched)


@overload
def load(
    name: ModelName | str | os.PathLike[str] | Entry,
    *,
    pretrained: bool = ...,
    weights: str | os.PathLike[str] | None = ...,
    any_weights: bool = ...,
    num_classes: int | None = ...,
    activation: Activation | None = ...,
    features_only: Literal[False] = ...,
    device: str | torch.device | None = ...,
    progress: bool = ...,
) -> VideoModel: ...


@overload
def load(
    name: ModelName | str | os.PathLike[str] | Entry,
    *,
    pretrained: bool = ...,
    weights: str | os.PathLike[str] | None = ...,
    any_weights: bool = ...,
    features_only: Literal[True],
    out_indices: Sequence[int] | None = ...,
    device: str | torch.device | None = ...,
    progress: bool = ...,
) -> StageModel: ...


def load(
    name: ModelName | str | os.PathLike[str] | Entry,
    *,
    pretrained: bool = True,
    weights: str | os.PathLike[str] | None = None,
    any_weights: bool = False,
    num_classes: int | None = None,
    activation: Activation | None = None,
    features_only: bool = False,
    out_indices: Sequence[int] | None = None,
    device: str | torch.device | None = None,
    progress: bool = True,
) -> VideoModel | StageModel:
    """A model of the zoo, in eval mode, carrying its record as ``model.entry``.

    Args:
        name: hub name (``slowfast_r50``), zoo name (``X3D_M``), config path, or an ``Entry``;
            ``hf-hub:org/name[@revision]``, a folder with the same files (also ``local-dir:PATH``)
            or of a run, or a weights file that tells which model it is. A path comes first.
        pretrained: False builds the model with pytorchvideo's initial weights.
        weights: a local file in either layout and format, in place of the entry's own; or a
            folder, run, address or name. ``model.origin`` says whose they are.
        any_weights: take weights that say they are another model's, or are known to be.
        num_classes: another number than the entry's keeps all weights but the classifier's,
            which is new (and said so in the log), unless the file has one of that size; 0
            leaves the classifier out: pooled features (B, D) come back.
        activation: ``None`` returns logits, ``"softmax"`` or ``"sigmoid"`` PySlowFast's
            test-time scores: the activation at each position of the head, then the mean.
        features_only: a ``StageModel`` instead: a list of the stages' outputs comes back, as
            its ``feature_info`` names them, with their channels and strides.
        out_indices: of ``features_only``, which: 0 is the stem, -1 the last; all if not given.
        device: ``"auto"`` (cuda, mps or cpu, the first there is), ``"gpu"``, or as torch names
            it; ``None`` is the CPU.
        progress: show a bar on stderr while fetching.

    Returns:
        A ``VideoModel``: (B, 3, T, H, W) float in, (B, num_classes) out.
        ``ptv_hub.optimize`` makes a faster one of it.

    Raises:
        UnknownName, AmbiguousName: of the name.
        FetchError: the weights cannot be brought here, or are not those published.
        OtherWeights: the weights are another model's, or say so.
        CheckpointError: the file cannot be used, or is not of this model; never half a model.
        UsageError: no such device here.
    """
    headless = features_only or num_classes == 0
    _require_sense(pretrained, weights, headless, num_classes, activation)
    _require_sense_of_stages(features_only, out_indices)
    place = None if device is None else usable_device(device)  # before anything is fetched
    asked = named(name, weights, progress=progress)
    if asked.note:
        log.warning("%s", asked.note)
    classes = None if headless else num_classes
    if pretrained:
        model = _pretrained(asked, any_weights, classes, activation, progress)
    else:
        model = build(asked.entry, num_classes=classes, activation=activation).eval()
    if place is not None:
        model.to(place)
    if features_only:
        return StageModel(model, out_indices=out_indices)
    if headless:
        model.reset_classifier(0)
    return model


def _require_sense_of_stages(features_only: bool, out_indices: object) -> None:
    if out_indices is not None and not features_only:
        raise UsageError(
            "out_indices name stages, and a whole model returns none",
            found=f"out_indices={out_indices!r}",
            fix="features_only=True",
        )


def _require_sense(
    pretrained: bool,
    weights: object,
    headless: bool,
    num_classes: int | None,
    activation: Activation | None,
) -> None:
    if headless and (activation is not None or num_classes):
        raise UsageError(
            "features have no classes, and no activation",
            found=f"activation={activation!r}, num_classes={num_classes}",
            fix="leave them out",
        )
    if not pretrained and weights is not None:
        raise UsageError(
            "pretrained=False and weights= contradict each other",
            found=f"weights={str(weights)!r}",
            fix="leave one of them out",
        )


def _pretrained(
    asked: Named,
    any_weights: bool,
    num_classes: int | None,
    activation: Activation | None,
    progress: bool,
) -> VideoModel:
    """The whole model with its weights, which are the entry's own or admitted."""
    item = asked.entry
    fetched = _fetched(item, progress) if asked.file is None else None
    weights = OpenedWeights(fetched.path if fetched else Path(asked.file or ""), item)
    model = with_weights(item, weights, num_classes=num_classes, activation=activation)
    model.origin = (
        fetched_origin(item, fetched)
        if fetched
        else admitted(item, weights, any_weights=any_weights)
    )
    return model


def _fetched(item: Entry, progress: bool) -> Fetched:
    from ptv_hub.fetching.artifacts import fetch  # a file at hand needs no network's packages

    return fetch(item, progress=progress)


def with_weights(
    item: Entry,
    weights: OpenedWeights,
    *,
    num_classes: int | None = None,
    activation: Activation | None = None,
) -> VideoModel:
    """The entry's model in eval mode with a file's tensors, whosever they are.

    Raises:
        CheckpointError: the file cannot be used, or does not fit this model.
    """
    warn_of_other_code(item, weights)
    tensors = weights.official
    for step in weights.converted.steps:
        log.info("%s: %s: %s", weights.path, step.name, step.does)
    model = build(item, num_classes=num_classes, activation=activation, device="meta")
    new_head = num_classes is not None and num_classes != item.num_classes
    load_weights(model, tensors, where=weights.path, new_head=new_head)
    return model.eval()


def load_weights(
    model: VideoModel, tensors: Mapping[str, Tensor], *, where: object, new_head: bool = False
) -> KeyFit:
    """Put official-layout tensors into a model built on the meta device, all of them or none.

    The tensors become the model's own, without a copy. With ``new_head`` a classifier for
    another number of classes than the model's is left out, and a new one initialised as
    pytorchvideo does (normal, std 0.01); the result and the log say so.

    Raises:
        KeyMismatch: keys or shapes are not the model's.
    """
    expected = model.state_dict()
    state, dropped = _with_new_head(model, tensors) if new_head else (dict(tensors), {})
    require_fit(state, expected, model.entry, where=where)
    for key, tensor in state.items():
        if tensor.dtype != expected[key].dtype:
            log.warning("%s: %s is %s, loaded as %s", where, key, tensor.dtype, expected[key].dtype)
            state[key] = tensor.to(expected[key].dtype)
    _assign(model, state)
    return KeyFit(dropped=tuple(f"{key}: {reason}" for key, reason in dropped.items()))


def _assign(model: VideoModel, state: Mapping[str, Tensor]) -> None:
    """``load_state_dict(assign=True)`` of keys and shapes that were compared: in a third of its
    time, which is most of loading (with ``hollow`` 32 ms of 68 for SlowFast R101)."""
    modules = dict(model.named_modules())
    for key, tensor in state.items():
        prefix, _, name = key.rpartition(".")
        module = modules[prefix]
        if name in module._parameters:
            module._parameters[name] = torch.nn.Parameter(tensor, tensor.is_floating_point())
        else:
            module._buffers[name] = tensor


def _with_new_head(
    model: VideoModel, tensors: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The state dict with a classifier of the model's size, and what was left out for it."""
    state = dict(tensors)
    weight, bias = (f"{model.classifier}.{kind}" for kind in ("weight", "bias"))
    wanted = model.state_dict()[weight].shape
    if weight not in state or bias not in state or state[weight].shape[0] == wanted[0]:
        return state, {}
    found = state[weight].shape[0]
    log.warning(
        "%s: new classifier for %d classes, not trained (the weights have one for %d)",
        model.entry.name,
        wanted[0],
        found,
    )
    new = new_classifier(wanted[0], wanted[1], torch.empty(0))
    state[weight], state[bias] = (part.data for part in new.parameters())
    reason = f"a classifier for {found} classes, the model has {wanted[0]}"
    return state, {weight: reason, bias: reason}


def require_fit(
    tensors: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    item: Entry,
    *,
    where: object,
) -> None:
    """Raise KeyMismatch unless keys and shapes are those that the entry's model has."""
    fit = compare(tensors, expected)
    if not fit.fits:
        raise _mismatch(fit, item, where)


def compare(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> KeyFit:
    """How an official-layout state dict fits the expected one, by keys and shapes."""
    return KeyFit(
        missing=tuple(key for key in expected if key not in tensors),
        unexpected=tuple(key for key in tensors if key not in expected),
        mismatched=tuple(
            f"{key}: {tuple(tensors[key].shape)} in the file, {tuple(wanted.shape)} in the model"
            for key, wanted in expected.items()
            if key in tensors and tensors[key].shape != wanted.shape
        ),
    )


def _mismatch(fit: KeyFit, item: Entry, where: object) -> KeyMismatch:
    parts = {
        "missing": fit.missing,
        "unexpected": fit.unexpected,
        "misshaped": fit.mismatched,
    }
    found = "; ".join(
        f"{len(keys)} {kind}: {', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''}"
        for kind, keys in parts.items()
        if keys
    )
    return KeyMismatch(
        f"the weights are not those of {item.name}",
        missing=fit.missing,
        unexpected=fit.unexpected,
        mismatched=fit.mismatched,
        where=where,
        expected=f"the {item.arch} {item.depth} of {item.dataset}, {item.num_classes} classes",
        found=found,
        fix="'ptv-hub identify FILE' says what the file is",
    )
