"""The recipe for a classifier of one's own, where nobody states another."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from ptv_hub.errors import UsageError
from ptv_hub.zoo.entry import Entry, License
from ptv_hub.zoo.input_spec import SegmentSampling
from ptv_hub.zoo.names import name_of
from ptv_hub.zoo.pyslowfast import Config, Paths, changed
from ptv_hub.zoo.recipe import Recipe, recipe_of
from ptv_hub.zoo.records import first_faults

BATCH = 8
log = logging.getLogger("ptv_hub")


def finetuning(
    entry: Entry,
    *,
    name: str | None = None,
    output: str = "finetuned",
    frozen_stages: int = 0,
    from_scratch: bool = False,
    opts: Sequence[object] = (),
    more: Mapping[str, Any] | None = None,
) -> Config:
    """A config to fine-tune a model on a few thousand videos, some minutes to hours.

    Ten epochs in batches of eight, warm-up over the first, half-period cosine from 0.01 to 0,
    everything else as the model was trained. ``opts`` are PySlowFast's keys and values on top
    (``["SOLVER.MAX_EPOCH", 20]``).

    Args:
        name: what the new model is called; the output folder's name if not given.
        from_scratch: the new model has the old one's architecture, and nothing of its weights.
        more: fields of the recipe that PySlowFast has no key for: ``{"accumulate": 4}``.

    Raises:
        ConfigError, UsageError: as ``zoo.pyslowfast.from_config``, of a value in ``opts``.
    """
    trained = recipe_of(entry)
    kept: dict[str, Any] = {}
    if trained is not None:
        kept = {key: getattr(trained, key) for key in ("weight_decay", "norm_weight_decay")}
    recipe = Recipe(
        **kept,
        epochs=10,
        batch_size=BATCH,
        seed=0,
        base_lr=0.01,
        warmup_epochs=1.0,
        warmup_start_lr=0.001,
        loss="bce_logit" if entry.protocol.metric == "mean_average_precision" else "cross_entropy",
        random_flip=not isinstance(entry.input.sampling, SegmentSampling),
        sync_bn=True,
        frozen_stages=frozen_stages,
        eval_period=1,
        checkpoint_period=1,
        workers=min(8, os.cpu_count() or 1),
    )
    recipe = with_more(recipe, more or {})
    own = (built_as if from_scratch else of_its_own)(entry, name or _name(output))
    config = Config(entry=own, recipe=recipe, paths=Paths(output=output))
    return _same_scale(config, changed(config, opts), changed(config, ()))


def with_more(recipe: Recipe, more: Mapping[str, Any]) -> Recipe:
    """The recipe with other values of some fields, those above all that no key stands for.

    Raises:
        UsageError: they do not fit together.
    """
    try:
        return Recipe.model_validate({**recipe.model_dump(), **more})
    except ValidationError as error:
        raise UsageError(
            "the settings of a run do not fit together", found=first_faults(error)
        ) from error


def _same_scale(before: Config, after: Config, unasked: Config) -> Config:
    """The settings with the short side of the entry, unless they ask for other sizes.

    PySlowFast has no key for it: of what its config says follows ``unasked``'s.
    """
    side, implied = before.entry.input.short_side, unasked.entry.input.short_side
    if side == implied or after.entry.input.short_side != implied:
        return after
    log.warning(
        "tests scale the short side to %d, as %s does; PySlowFast's config cannot say so, "
        "and alone it means %d",
        side,
        before.entry.source,
        implied,
    )
    spec = after.entry.input.model_copy(update={"short_side": side})
    return after.model_copy(update={"entry": after.entry.model_copy(update={"input": spec})})


def _name(output: str) -> str:
    return name_of(os.path.basename(os.path.abspath(output)).lower() or "finetuned")


def of_its_own(entry: Entry, name: str) -> Entry:
    """The record of a model that is trained anew: who it is now, and what no longer holds."""
    return entry.model_copy(
        update={
            "name": name,
            "zoo_name": name,
            "config": name,
            "pretrain": entry.dataset,
            "artifacts": (),
            "published": None,
            "errata": (),
            "num_params": None,
            "digest": None,
            "license": License(code="Apache-2.0", note=f"fine-tuned from {entry.name}"),
            "source": f"fine-tuned from {entry.name}",
            "demonstration": False,
        }
    )


def built_as(entry: Entry, name: str) -> Entry:
    """The record of a model that only has another's architecture."""
    said = f"trained from scratch, built as {entry.name}"
    license = License(code="Apache-2.0", note=said)
    return of_its_own(entry, name).model_copy(
        update={"pretrain": None, "license": license, "source": said}
    )
