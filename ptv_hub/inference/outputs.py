"""What can be taken from a model on the way of a batch of views, all of it in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import cast

from torch import Tensor, nn

from ptv_hub.errors import UnknownName, UsageError
from ptv_hub.inference.batching import Outputs
from ptv_hub.inference.transforms import ModelInput
from ptv_hub.models.builders import ACTIVATIONS, ActionModel, VideoModel
from ptv_hub.models.stages import Stage, find_stage, stages
from ptv_hub.zoo.entry import Entry

EMBEDDING = "embedding"
"""What the classifier sees, the mean over the head's positions."""
PATHWAYS = ("slow", "fast")
"""The parts of a SlowFast's embedding."""
SCORES = ("logits", "scores")
MAPS = ":maps"
"""Behind a stage's name: all of it, not the mean over time, height and width."""


def checked_outputs(entry: Entry, names: Sequence[str]) -> tuple[str, ...]:
    """The names, if the model has all of them; each once.

    Raises:
        UnknownName: the model has no such stage, or none of these at all.
        UsageError: pathways of a model with one, or scores of one without classes.
    """
    if not names:
        raise UsageError("nothing is to be taken of the model", expected=EMBEDDING)
    if entry.head.takes_boxes:
        raise UsageError(
            f"{entry.name} has features of boxes, not of clips",
            fix=f"ptv_hub.load({entry.name!r}, num_classes=0)(clip, boxes) gives those of each box",
        )
    for name in names:
        if name in PATHWAYS and entry.input.num_pathways == 1:
            raise UsageError(
                "this model has one pathway", where=entry.name, found=name, fix="leave it out"
            )
        if name in SCORES and entry.num_classes == 0:
            raise UsageError("this model has no classes", where=entry.name, found=name)
        if name not in (EMBEDDING, *PATHWAYS, *SCORES):
            _stage(entry, name)
    return tuple(dict.fromkeys(names))


def _stage(entry: Entry, name: str) -> Stage:
    try:
        return find_stage(entry, name.removesuffix(MAPS))
    except UnknownName as error:
        pathways = PATHWAYS if entry.input.num_pathways > 1 else ()
        known = (EMBEDDING, *pathways, *SCORES, *error.known)
        raise UnknownName("output", name, known, see=f"there are: {', '.join(known)}") from error


def channels_of(entry: Entry, name: str) -> int:
    """How many numbers a vector of this output has."""
    if name in SCORES:
        return entry.num_classes
    if name not in (EMBEDDING, *PATHWAYS):
        return _stage(entry, name).channels
    by_name = {stage.name: stage.channels for stage in stages(entry)}
    if entry.input.num_pathways == 2:
        slow, fast = by_name["stage4.slow"], by_name["stage4.fast"]
        return {"slow": slow, "fast": fast}.get(name, slow + fast)
    # X3D's head has a layer of its own before the classifier.
    return getattr(entry.builder, "dim_c5", by_name["stage4"])


class Extractor:
    """A model as a function of a batch of views -> ``Outputs``; used within ``attached``."""

    def __init__(self, model: ActionModel, names: Sequence[str]) -> None:
        """``model``: of ``ptv_hub.load``; or an optimized one without a classifier, which gives
        its embedding and the pathways' parts of it.

        Raises:
            UnknownName, UsageError: as ``checked_outputs``, or what an optimized model hides.
        """
        self._model = model
        self._entry = model.entry
        self._names = checked_outputs(model.entry, names)
        self._seen: dict[str, Tensor] = {}
        self._hidden = not isinstance(model, VideoModel)
        rest = set(self._names) - {EMBEDDING, *PATHWAYS}
        if self._hidden and (model.entry.num_classes or rest):
            raise UsageError(
                "an optimized model shows nothing on the way",
                where=model.entry.name,
                expected="a model without a classifier, and its embedding alone",
                found=", ".join(sorted(rest)) or "a classifier",
                fix="optimize ptv_hub.load(name, num_classes=0), or use the model as it is",
            )

    def __call__(self, views: ModelInput) -> Outputs:
        values = self._model(views)
        if self._hidden:
            self._seen[EMBEDDING] = values
        found = {name: self._output(name) for name in self._names}
        self._seen = {}
        return found

    def _output(self, name: str) -> Tensor:
        if name == EMBEDDING:
            return self._embedding()
        if name in PATHWAYS:
            slow = channels_of(self._entry, "slow")
            whole = self._embedding()
            return whole[:, :slow] if name == "slow" else whole[:, slow:]
        if name == "logits":
            return _over_positions(self._seen["logits"])
        if name == "scores":
            return self._scores()
        values = self._seen[name.removesuffix(MAPS)]
        return values if name.endswith(MAPS) else values.mean(dim=(2, 3, 4))

    def _embedding(self) -> Tensor:
        values = self._seen[EMBEDDING]  # (B, T', H', W', channels): the head has moved them last
        return values if self._hidden else _over_positions(values)

    def _scores(self) -> Tensor:
        """PySlowFast's: the activation at each position of the head, then the mean."""
        values = self._seen["logits"].movedim(-1, 1)  # (B, classes, T', H', W'), or of a token
        activation = ACTIVATIONS[self._entry.protocol.activation]()
        assert activation is not None
        scores: Tensor = activation(values)
        return scores.mean(dim=(2, 3, 4)) if scores.dim() > 2 else scores

    @contextmanager
    def attached(self) -> Iterator[Extractor]:
        """Within it the model's parts are listened to."""
        with ExitStack() as stack:
            if not self._hidden:
                self._listen(cast(VideoModel, self._model), stack)
            yield self

    def _listen(self, model: VideoModel, stack: ExitStack) -> None:
        def keep_input(_: object, inputs: tuple[Tensor, ...]) -> None:
            self._seen[EMBEDDING] = inputs[0]

        def keep_logits(_: object, __: object, output: Tensor) -> None:
            self._seen["logits"] = output  # (B, T', H', W', classes)

        proj = model.get_submodule(model.classifier)
        stack.callback(proj.register_forward_pre_hook(keep_input).remove)
        if set(self._names) & set(SCORES):
            stack.callback(proj.register_forward_hook(keep_logits).remove)
        plain = {name.removesuffix(MAPS) for name in self._names}
        for stage in stages(self._entry) if plain - {EMBEDDING, *PATHWAYS, *SCORES} else ():
            if stage.name in plain:
                block = model.blocks[stage.block]
                hook = block.register_forward_hook(partial(self._keep_stage, stage))
                stack.callback(hook.remove)

    def _keep_stage(self, stage: Stage, _: nn.Module, __: object, output: object) -> None:
        # The next block of a SlowFast writes into the list, not into its tensors.
        values = output if isinstance(output, Tensor) else cast(list[Tensor], output)
        self._seen[stage.name] = (
            values if isinstance(values, Tensor) else values[stage.pathway or 0]
        )


def _over_positions(values: Tensor) -> Tensor:
    """(B, T', H', W', channels) -> (B, channels), the mean; a class token's (B, channels) as is."""
    return values.mean(dim=(1, 2, 3)) if values.dim() > 2 else values
