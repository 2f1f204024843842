"""Videos -> what a model gives for their views: the one road of evaluation, prediction, features.

Worker processes decode ahead of the model; here views become batches, and a video comes out as
soon as all of its views are through.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass

from ptv_hub.datasets.decoding import End, Message, Reading, decode
from ptv_hub.datasets.listing import Item
from ptv_hub.inference.batching import OneVideo, ViewBatches
from ptv_hub.runs.pool import Pool


@dataclass(frozen=True)
class Outcome:
    """One video, as it comes out."""

    item: Item
    end: End
    """How it was read, or why it could not be."""
    views: OneVideo
    """What the model gave: ``views.result(end.clips, crops)``."""


def through(
    items: Iterator[Item], reading: Reading, batches: ViewBatches, workers: int
) -> Iterator[Outcome]:
    """Every video in order; items are taken as they are needed. To be used in inference mode.

    Args:
        workers: processes that decode ahead of the model; 0 decodes between its runs.
    """
    waiting: deque[Outcome] = deque()
    with ExitStack() as stack:
        source: Iterator[tuple[Item, Iterator[Message]]]
        if workers:
            source = stack.enter_context(closing(Pool(workers, reading))).run(items)
        else:
            source = ((item, decode(item, reading)) for item in items)
        for item, messages in source:
            views = batches.video()
            end = End(0.0)
            for message in messages:
                if isinstance(message, End):
                    end = message
                    break
                views.add(message.views)
            views.end()
            waiting.append(Outcome(item, end, views))
            while waiting and waiting[0].views.done:
                yield waiting.popleft()
        batches.flush()
        yield from waiting
