"""Who scores which video: one queue that all ranks take from, one video at a time.

A shared queue and not interleaved shards: however long some videos are, and however slow one
of the machines is, every rank is busy until the queue is empty, and no video is given out
twice or padded. All it takes is a counter in the key-value store that ``torchrun`` sets up
for a run anyway (``torch.distributed``'s TCPStore), so it is the same for CPUs and GPUs, and
no collective operation can time out while one rank is still at a long video. What was done
before a restart is in the journals, which all ranks read, so the number of ranks may change.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from ptv_hub.errors import EvaluationError

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

_FOREVER = timedelta(days=365)


class Queue:
    """The queue of a run with one rank."""

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

    def wait_for_all(self) -> None:
        """Say that this rank is through; on rank 0 return when all are."""


class SharedQueue(Queue):
    """The queue of several ranks, over a store of ``torch.distributed``."""

    def __init__(self, store: Store, rank: int, world_size: int) -> None:
        super().__init__(rank, world_size)
        self._store = store

    def places(self, count: int) -> Iterator[int]:
        while (place := self._add("next") - 1) < count:
            yield place

    def finished(self) -> int:
        return self._add("finished")

    def _add(self, key: str) -> int:
        try:
            return int(self._store.add(key, 1))
        except RuntimeError as error:
            raise _lost(error) from error

    def wait_for_all(self) -> None:
        try:
            self._store.set(f"through/{self.rank}", "yes")
            if self.rank == 0:
                keys = [f"through/{rank}" for rank in range(self.world_size)]
                self._store.wait(keys, _FOREVER)
        except RuntimeError as error:
            raise _lost(error) from error


def _lost(error: RuntimeError) -> EvaluationError:
    return EvaluationError(
        "the rank that hands out the videos is gone",
        found=str(error).splitlines()[0],
        fix="run the same again; what was scored is kept, and any number of ranks can go on",
    )


def queue() -> Queue:
    """The queue of this process: shared if ``torchrun`` (or the like) started several ranks.

    Raises:
        EvaluationError: the ranks do not find each other.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Queue()
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
    return SharedQueue(PrefixStore("ptv_hub.evaluation", store), rank, world_size)
