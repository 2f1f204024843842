"""What an evaluation is asked for, in whatever form: the model, the protocol, the videos."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, cast

import numpy as np
import torch

from ptv_hub.datasets.listing import Item, Listing
from ptv_hub.datasets.reading import read_listing
from ptv_hub.errors import UsageError, WrongInput
from ptv_hub.evaluation.scoring import Scored
from ptv_hub.inference.predict import protocol_for, ready_model
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.input_spec import Protocol


def wanted_model(
    model: Scored | Entry | str | os.PathLike[str],
    weights: str | os.PathLike[str] | None,
    any_weights: bool,
    device: str | torch.device | None,
) -> Scored:
    """A model as it is, or the one of a name."""
    named = isinstance(model, (str, os.PathLike, Entry))
    if named or weights is not None or device is not None:
        return ready_model(cast(Any, model), weights, any_weights=any_weights, device=device)
    return cast(Scored, model)


def wanted_protocol(entry: Entry, protocol: Protocol | None, views: object) -> Protocol:
    if views is None:
        return protocol or entry.protocol
    if protocol is not None:
        raise UsageError("views= and a protocol contradict each other", fix="leave one out")
    return protocol_for(entry, cast(Any, views))


def entry_of(model: object) -> Entry:
    entry = getattr(model, "entry", None)
    if not isinstance(entry, Entry) or not callable(model):
        raise WrongInput(
            "not a model that can be evaluated",
            expected="what ptv_hub.load returns, or a callable with an Entry as 'entry'",
            found=f"a {type(model).__name__}",
        )
    if getattr(model, "training", False):
        raise UsageError(
            "the model is in training mode, and would give other scores each time",
            fix="model.eval()",
        )
    return entry


Items = Listing | Iterable[Item | tuple[Any, Any]] | str | os.PathLike[str]


def wanted_listing(items: Items, entry: Entry) -> Listing:
    """Raises DataError, UsageError: videos without labels, or that are not to be read as such."""
    if isinstance(items, Listing):
        return items
    if isinstance(items, (str, os.PathLike)):
        return read_listing(entry, items)
    return Listing("", tuple(_item(item) for item in items), ())


def _item(item: Item | tuple[Any, Any]) -> Item:
    if isinstance(item, Item):
        return item
    try:
        if isinstance(item, (str, os.PathLike)):
            raise ValueError
        video, labels = item
        path = os.fspath(video)
        indices = (labels,) if np.ndim(labels) == 0 else labels
        return Item(path, path, tuple(sorted(int(index) for index in indices)))
    except (TypeError, ValueError):
        raise UsageError(
            "an evaluation is of videos whose labels are known",
            expected="pairs of a path and a label (an index, or several), a listing, or the path "
            "of a list or folder",
            found=repr(item)[:200],
            fix="ptv_hub.predict says what happens in videos without labels",
        ) from None
