"""Who scores which video: one queue that all ranks take from, one video at a time.

A shared queue and not interleaved shards: however long some videos are, and however slow one
of the machines is, every rank is busy until the queue is empty, and no video is given out
twice or padded. All it takes is a counter in the key-value store that ``torchrun`` sets up
for a run anyway (``torch.distributed``'s TCPStore), so it is the same for CPUs and GPUs, and
no collective operation can time out while one rank is still at a long video. What was done
before a restart is in the journals, which all ranks read, so the number of ranks may change.

Every rank says now and then that it lives. What one had taken that is gone, or gave up, falls to
rank 0 when all others are through.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

from ptv_hub.errors import EvaluationError

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

BEAT = 2.0
"""Seconds from one sign of life of a rank to the next."""
PATIENCE = 60.0
"""Seconds without one after which a rank is gone."""
_THROUGH, _GAVE_UP = b"through", b"gave up"
_runs: Counter[str] = Counter()
"""How often this process has begun each run: every time has a queue of its own."""


class Queue:
    """The queue of a run with one rank; a context manager, left when the rank is through."""

    def __init__(self, rank: int = 0, world_size: int = 1) -> None:
        self.rank = rank
        self.world_size = world_size
        self._finished = 0

    def places(self, count: int) -> Iterator[int]:
        """The places of a list of ``count`` videos that fall to this rank, when it asks."""
        yield from range(count)

    def finished(self) -> int:
        """Say that a video is finished; how many are in this run, over all ranks."""
        self._finished += 1
        return self._finished

    def left_behind(self, count: int) -> Sequence[int]:
        """Say that this rank is through with the places that fell to it.

        On rank 0 return when all are, with the places of those that are gone; they may have
        finished some of them.
        """
        return ()

    def __enter__(self) -> Queue:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Say, after an error, that this rank gave up."""


class SharedQueue(Queue):
    """The queue of several ranks, over a store of ``torch.distributed``."""

    def __init__(self, store: Store, life: Life) -> None:
        """``store``: of this run alone, the same for all ranks."""
        super().__init__(life.rank, life.world_size)
        self._store = store
        self._life = life

    def places(self, count: int) -> Iterator[int]:
        while (place := self._add("next") - 1) < count:
            self._set(f"taken/{place}", str(self.rank))
            yield place

    def finished(self) -> int:
        return self._add("finished")

    def left_behind(self, count: int) -> Sequence[int]:
        self._set(f"end/{self.rank}", _THROUGH)
        if self.rank:
            return ()
        try:
            gone = self._gone()
            return [place for place in range(count) if self._owner(place) in gone] if gone else ()
        except RuntimeError as error:
            raise _lost(error) from error

    def _gone(self) -> set[int | None]:
        """Wait until every rank is through, or gave up, or is gone; those that are not through."""
        waiting = set(range(1, self.world_size))
        # What nobody says to have taken was taken by one that was gone at once.
        gone: set[int | None] = {None}
        while waiting:
            for rank in sorted(waiting):
                if self._store.check([f"end/{rank}"]):
                    waiting.remove(rank)
                    if self._store.get(f"end/{rank}") == _GAVE_UP:
                        gone.add(rank)
                elif not self._life.of(rank):
                    waiting.remove(rank)
                    gone.add(rank)
            if waiting:
                time.sleep(min(0.2, BEAT))
        return gone if len(gone) > 1 else set()

    def _owner(self, place: int) -> int | None:
        key = f"taken/{place}"
        return int(self._store.get(key)) if self._store.check([key]) else None

    def _add(self, key: str) -> int:
        try:
            return int(self._store.add(key, 1))
        except RuntimeError as error:
            raise _lost(error) from error

    def _set(self, key: str, value: str | bytes) -> None:
        try:
            self._store.set(key, value)  # type: ignore[arg-type]  # bytes too, by its own docs
        except RuntimeError as error:
            raise _lost(error) from error

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            with suppress(RuntimeError):  # the store may be what is gone
                self._store.set(f"end/{self.rank}", _GAVE_UP)  # type: ignore[arg-type]


class Life:
    """The signs of life of all ranks, this one's given by a thread for as long as it runs."""

    def __init__(self, store: Store, rank: int, world_size: int) -> None:
        self.rank = rank
        self.world_size = world_size
        self._store = store
        self._seen: dict[int, tuple[int, float]] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="ptv_hub-life", daemon=True)
        self._thread.start()
        atexit.register(self.end)

    def _beat(self) -> None:
        while True:
            try:
                self._store.add(f"life/{self.rank}", 1)
            except RuntimeError:
                return  # rank 0, which had the store, has ended
            if self._ended.wait(BEAT):
                return

    def of(self, rank: int) -> bool:
        """Whether a rank has given a sign within the last ``PATIENCE`` seconds of watching it."""
        beats, now = int(self._store.add(f"life/{rank}", 0)), time.monotonic()
        before, since = self._seen.get(rank, (-1, now))
        if beats != before:
            self._seen[rank] = beats, now
            return True
        return now - since < PATIENCE

    def end(self) -> None:
        """Give no more of them."""
        self._ended.set()
        self._thread.join()


def _lost(error: RuntimeError) -> EvaluationError:
    return EvaluationError(
        "the rank that hands out the videos is gone",
        found=str(error).splitlines()[0],
        fix="run the same again; what was scored is kept, and any number of ranks can go on",
    )


def queue(run: str) -> Queue:
    """This process's queue for a run: shared if ``torchrun`` (or the like) started several ranks.

    Args:
        run: what is to be done, in a word that is the same on all ranks. When a process does
            the same again, it is another run.

    Raises:
        EvaluationError: the ranks do not find each other.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Queue()
    from torch.distributed.distributed_c10d import PrefixStore

    store, life = _meeting()
    _runs[run] += 1
    return SharedQueue(PrefixStore(f"ptv_hub.runs/{run}/{_runs[run]}", store), life)


@cache
def _meeting() -> tuple[Store, Life]:
    """Where the ranks of this process's world meet: once for all of its runs."""
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    try:
        store, rank, world_size = next(iter(rendezvous("env://")))
    except (RuntimeError, ValueError) as error:
        raise EvaluationError(
            "the ranks do not find each other",
            expected="what torchrun sets: RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT",
            found=str(error).splitlines()[0],
        ) from error
    return store, Life(PrefixStore("ptv_hub.life", store), rank, world_size)
