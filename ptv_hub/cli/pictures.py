"""What ``predict`` draws of a video beside its labels: a picture over time, an annotated video."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ptv_hub.cli.talk import tell
from ptv_hub.errors import UsageError
from ptv_hub.files import refuse_existing

if TYPE_CHECKING:
    from ptv_hub.cli.videos import VideoRun
    from ptv_hub.inference.predict import Prediction
    from ptv_hub.models.builders import ActionModel

Source = str | tuple[str, ...]
Draw = Callable[["ActionModel", "Prediction", Source], None]


@dataclass(frozen=True)
class Pictures:
    """What is to be drawn, and how the video is read for it."""

    plot: Path | None
    annotate: Path | None
    stride: str | None
    top_k: int | None
    threshold: float | None
    fps: float | None
    allow_broken: bool
    batch_views: int

    def ready(self, going: VideoRun, overwrite: bool) -> None:
        """See that it can be drawn, before the model runs. Raises UsageError, WriteError."""
        if self.stride is not None:
            from ptv_hub.inference.windows import parse_length

            if self.annotate is None:
                raise UsageError("--stride is for --annotate", found=self.stride)
            parse_length(self.stride, "stride")
        if (self.plot or self.annotate) and len(going.videos) > 1:
            raise UsageError("a picture is of one video", found=f"{len(going.videos)} videos")
        if self.plot is not None:
            from ptv_hub.inference.timeline import ready_to_draw

            refuse_existing(self.plot, overwrite)
            ready_to_draw(self.plot)
        if self.annotate is not None:
            from ptv_hub.inference.annotated import ready_to_annotate

            sources = [one.source for one in going.videos if isinstance(one.source, str)]
            ready_to_annotate(self.annotate, overwrite, sources)

    @property
    def draw(self) -> list[Draw]:
        """Functions of the model, what it says of the video, and the video."""
        chosen = ((self.plot, self._timeline), (self.annotate, self._video))
        return [draw for path, draw in chosen if path is not None]

    def _timeline(self, _: ActionModel, done: Prediction, source: Source) -> None:
        from ptv_hub.inference.timeline import draw_timeline

        assert self.plot is not None
        draw_timeline(
            done, source, self.plot, fps=self._rate(source), allow_broken=self.allow_broken
        )
        tell(f"wrote {self.plot}")

    def _video(self, model: ActionModel, _: Prediction, source: Source) -> None:
        from ptv_hub.inference.annotated import annotate

        assert self.annotate is not None
        written = annotate(
            model,
            source,
            self.annotate,
            stride=self.stride,
            top_k=self.top_k,
            threshold=self.threshold,
            fps=self._rate(source),
            allow_broken=self.allow_broken,
            batch_views=self.batch_views,
            overwrite=True,  # it was asked before
        )
        for note in written.notes:
            tell(f"{self.annotate}: {note}")
        tell(f"wrote {self.annotate}")

    def _rate(self, source: Source) -> float | None:
        from ptv_hub.inference.video import has_no_rate

        return self.fps if has_no_rate(source) else None
