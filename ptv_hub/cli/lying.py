"""How windows are to lie over videos, and what is to be taken of them, as it was typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ptv_hub.cli.talk import tell
from ptv_hub.errors import UsageError

if TYPE_CHECKING:
    from ptv_hub.inference.feature_files import FileKind
    from ptv_hub.inference.features import Wish
    from ptv_hub.inference.finding import Found
    from ptv_hub.inference.windows import Windows
    from ptv_hub.zoo.entry import Entry


@dataclass(frozen=True)
class Lying:
    """What was typed of windows."""

    window: str | None
    stride: str | None
    every: str | None
    fps: str | None
    last: str | None
    consecutive: bool
    crops: str | None
    whole_frame: bool

    @property
    def own_rate(self) -> float | None:
        """Of folders of frames."""
        try:
            return None if self.fps in (None, "source") else float(str(self.fps))
        except ValueError:
            raise UsageError("not a rate", expected="a number, or source", found=self.fps) from None

    @property
    def is_said(self) -> bool:
        return not (self.window is None and self.stride is None and self.every is None)

    @property
    def is_detailed(self) -> bool:
        """Whether more is said of windows than how long and how far apart they are."""
        given = self.crops is not None or self.last is not None
        return given or self.consecutive or self.whole_frame

    def check_rate(self, videos: Sequence[Found]) -> None:
        """That a rate is said of something. Raises UsageError."""
        from ptv_hub.inference.video import has_no_rate

        rated = videos and not any(has_no_rate(one.source) for one in videos)
        if self.fps and rated and not self.is_said:
            raise UsageError(
                "this is for windows, and for folders of frames",
                found=f"--fps {self.fps}",
                fix="--window, --stride or --every",
            )

    def windows(self) -> Windows | None:
        """Raises UsageError."""
        from ptv_hub.inference.windows import asked_windows

        if self.is_said:
            return asked_windows(
                *(self.window, self.stride, self.every, self.fps),
                last=self.last or "back",
                consecutive=self.consecutive,
            )
        if self.is_detailed:
            raise UsageError("this is for windows", fix="--window, --stride or --every")
        return None


def wish_of(
    item: Entry,
    recipe: str | None,
    taken: Sequence[str],
    lying: Lying,
    views: str | None,
    clip_sampling: str | None,
) -> tuple[Wish, FileKind]:
    """What is to be taken of which views, and how it is written."""
    from ptv_hub.inference.feature_files import FileKind
    from ptv_hub.inference.features import asked_features
    from ptv_hub.inference.recipes import recipe_of

    if recipe is None:
        if lying.whole_frame and lying.crops:
            raise UsageError("crops, or whole frames", found=f"--crops {lying.crops} --whole-frame")
        crops = 0 if lying.whole_frame else int(lying.crops or 1)
        windows = lying.windows()
        return asked_features(item, taken, windows, crops, views, clip_sampling), FileKind()
    if lying.is_said or lying.fps or lying.is_detailed or views or taken or clip_sampling:
        raise UsageError(
            "a recipe says all of windows and outputs",
            where=recipe,
            fix="leave one out, or write a recipe of your own: docs/features.md",
        )
    chosen = recipe_of(recipe)
    if chosen.model not in (None, item.name):
        tell(f"the recipe's own model is {chosen.model}, not {item.name}")
    for difference in chosen.differs:
        tell(f"not as the owners had it: {difference}")
    return asked_features(item, chosen.take, chosen.windows, chosen.crops), chosen.kind


def stage_of(stage: str | None, maps: bool) -> tuple[str, ...]:
    """The output that ``--stage`` and ``--maps`` name, if they do."""
    if stage is None:
        if maps:
            raise UsageError("the embedding has no maps", fix="name a stage: --stage stage3")
        return ()
    return (f"{stage}:maps" if maps else stage,)
