"""A run on disk: checkpoints that PySlowFast reads, and all that is needed to go on from one.

A checkpoint is PySlowFast's: ``epoch`` (the last one that is complete, from 0; -1 for none),
``model_state`` in its layout, ``optimizer_state``, ``cfg``. Beside them stands ``ptv_hub``:
how far the epoch after it has come, and the records. There are no states of random number
generators to keep: what is random follows from seed, epoch and place (``clips``, ``modules``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from ptv_hub.errors import CheckpointError
from ptv_hub.models.builders import VideoModel
from ptv_hub.weights import checkpoint, layouts
from ptv_hub.weights.load import load_weights
from ptv_hub.weights.own_word import RECORD
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.pyslowfast import Config, to_yaml
from ptv_hub.zoo.recipe import Recipe
from ptv_hub.zoo.records import Record, first_fault

LAST, BEST = "last.pyth", "best.pyth"
AVERAGED = "ema_state"
"""Key of the moving average of the weights, in their layout."""


class Position(Record):
    """How far a run has come, and what it is a run of."""

    epoch: int = 0
    """The epoch that is under way, from 0."""
    step: int = 0
    """Steps of it that are done."""
    loss_sum: float = 0.0
    """Over the steps of the epoch under way."""
    last_loss: float = 0.0
    """Mean of the last complete epoch."""
    last: float | None = None
    """The last look's metric, percent."""
    watched: int | None = None
    """Videos that it is over; 0.1 wrote none."""
    best: float | None = None
    """The best metric so far, percent."""
    best_epoch: int | None = None
    in_vain: int = 0
    """Looks since the best one."""
    data: str
    """Digest of the data (``Source.digest``)."""
    batches: int
    """Steps of an epoch."""
    world: int
    """Processes."""
    started_from: str
    """Where the first weights came from."""
    skipped: tuple[str, ...] = ()
    """Videos that others took the place of so far, sorted."""


def save(
    path: Path,
    model: VideoModel,
    optimizer: torch.optim.Optimizer,
    config: Config,
    position: Position,
    *,
    scaler: dict[str, Any] | None = None,
    averaged: VideoModel | None = None,
) -> None:
    """Write a checkpoint, whole or not at all; ``averaged`` goes in beside the model's weights.

    Raises:
        WriteError: it could not be written; what stood there before still stands.
    """
    tensors = layouts.convert(model.state_dict(), layouts.OFFICIAL, "pyslowfast")
    training = {
        "epoch": position.epoch - 1,
        "optimizer_state": optimizer.state_dict(),
        "cfg": to_yaml(config, complete=True),
        RECORD: {
            "position": position.model_dump(mode="json"),
            "entry": config.entry.model_dump_json(),
            "recipe": config.recipe.model_dump_json(),
        },
    }
    if scaler:
        training["scaler_state"] = scaler
    if averaged is not None:
        training[AVERAGED] = layouts.convert(averaged.state_dict(), layouts.OFFICIAL, "pyslowfast")
    checkpoint.write(path, tensors, training=training)


def read_position(path: Path, config: Config) -> tuple[Position, checkpoint.Checkpoint]:
    """How far the run in a checkpoint had come.

    Raises:
        CheckpointError: it is no checkpoint of such a run, or one of another model or recipe.
    """
    file = checkpoint.read(path)
    try:
        ours = file.training[RECORD]
        position = Position.model_validate(ours["position"])
        # Read as a record: what an older version did not know of has the value that it meant.
        recipe = Recipe.model_validate_json(ours["recipe"])
        entry = Entry.model_validate_json(ours["entry"])
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise CheckpointError(
            "a checkpoint does not say how far its run had come",
            where=path,
            found=first_fault(error),
            fix="begin a new run from its weights: --weights, and another output folder",
        ) from error
    now = {**_said(config.entry), **config.recipe.model_dump(mode="json")}
    then = {**_said(entry), **recipe.model_dump(mode="json")}
    # What may change between two sittings of one run: nothing that decides on the weights.
    free = {"workers", "tensorboard", "eval_period", "checkpoint_period", "test_batch_size"}
    free |= {"patience"}
    other = [key for key in now if key not in free and now[key] != then.get(key)]
    if other:
        raise CheckpointError(
            "the output folder holds a run with other settings",
            where=path,
            expected="; ".join(f"{key} {now[key]}" for key in other[:4]),
            found="; ".join(f"{key} {then.get(key)}" for key in other[:4]),
            fix="take another output folder, or --restart to overwrite this one",
        )
    return position, file


def _said(entry: Entry) -> dict[str, Any]:
    told = entry.model_dump(mode="json")
    # No weight depends on how far tests scale a frame down, and version 0.1 forgot it.
    del told["input"]["short_side"]
    fields = ("builder", "num_classes", "labels", "input", "head", "protocol")
    return {key: told[key] for key in fields}


def restore(
    file: checkpoint.Checkpoint,
    model: VideoModel,
    optimizer: torch.optim.Optimizer,
    *,
    averaged: VideoModel | None = None,
) -> None:
    """Put a checkpoint's weights and optimizer state into a model on a device and its optimizer.

    Raises:
        CheckpointError: they are not of this model.
    """
    _fill(model, file.tensors, file.path)
    if averaged is not None:
        _fill(averaged, file.training.get(AVERAGED, {}), file.path)
    optimizer.load_state_dict(_cloned(file.training["optimizer_state"]))


def _fill(model: VideoModel, tensors: dict[str, Tensor], where: Path) -> None:
    device = next(model.parameters()).device
    official = layouts.to_official(tensors)
    fresh = {key: tensor.to(device).clone() for key, tensor in official.items()}
    state = model.state_dict()
    _fits(model, fresh, where)
    with torch.no_grad():
        for key, tensor in fresh.items():
            state[key].copy_(tensor)


def published(path: Path) -> dict[str, Tensor]:
    """The official tensors that a run's checkpoint is published as: the average, if it has one.

    Raises:
        CheckpointError: it cannot be read.
    """
    file = checkpoint.read(path)
    return layouts.to_official(file.training.get(AVERAGED, file.tensors))


def _fits(model: VideoModel, tensors: dict[str, Tensor], where: Path) -> None:
    from ptv_hub.models.builders import build

    load_weights(build(model.entry, device="meta"), tensors, where=where)


def _cloned(value: Any) -> Any:
    """The same without a tie to the file."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {key: _cloned(item) for key, item in value.items()}
    return [_cloned(item) for item in value] if isinstance(value, list) else value
