"""Items -> their views, decoded ahead of the model by worker processes, in order.

Each worker has a pipe of its own and no lock, so that one that dies (a decoder may crash on a
broken file, the system may be out of memory) takes nothing with it: its video is a failure
like any other and another worker goes on. A worker may be ahead of the model by so many clips
as its share of memory holds, and then waits.
"""

from __future__ import annotations

import multiprocessing
import shutil
import signal
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext
from pathlib import Path

import numpy as np
import torch

from ptv_hub.datasets.decoding import End, Failure, Message, Reading, Views, decode
from ptv_hub.datasets.listing import Item
from ptv_hub.engines.memory import give_back_clips
from ptv_hub.errors import EvaluationError, PtvHubError

AHEAD_BYTES = 1 << 29
"""How far one worker may be ahead of the model."""
_SHARED_MEMORY = Path("/dev/shm")


@dataclass
class _Task:
    item: Item
    buffer: deque[Message] = field(default_factory=deque)
    worker: _Worker | None = None
    ended: bool = False


class _Worker:
    """One process, its end of the pipe, and what it was given to do."""

    def __init__(self, context: SpawnContext, reading: Reading, plan: _Transfer) -> None:
        self.connection, theirs = context.Pipe()
        self.process = context.Process(
            target=_work, args=(theirs, reading, plan), daemon=True, name="ptv_hub-decode"
        )
        self.process.start()
        theirs.close()
        self.tasks: deque[_Task] = deque()
        self.ready = False

    def give(self, task: _Task) -> None:
        task.worker = self
        self.tasks.append(task)
        self.send(task.item)

    def send(self, message: object) -> None:
        with suppress(OSError):  # that it is dead is found out on reading
            self.connection.send(message)


@dataclass(frozen=True)
class _Transfer:
    """How views travel to the model."""

    window: int
    """Clips that a worker may be ahead."""
    shared: bool
    """By shared memory, or (where that is too small, as in many containers) by the pipe."""


def _transfer(workers: int, reading: Reading) -> _Transfer:
    clip = reading.viewing.clip_bytes
    room = AHEAD_BYTES
    if _SHARED_MEMORY.is_dir():
        room = min(room, int(0.8 * shutil.disk_usage(_SHARED_MEMORY).free) // workers)
    return _Transfer(max(2, room // clip), shared=room >= 2 * clip)


class _Inbox:
    """What the main process says to a worker: items to decode, and leave to go on."""

    def __init__(self, connection: Connection, credit: int) -> None:
        self._connection = connection
        self._items: deque[Item] = deque()
        self._credit = credit

    def item(self) -> Item:
        while not self._items:
            self._receive()
        return self._items.popleft()

    def leave(self) -> None:
        """Wait until another clip may be sent."""
        while self._credit == 0:
            self._receive()
        self._credit -= 1

    def _receive(self) -> None:
        message = self._connection.recv()
        if message is None:
            raise EOFError
        if isinstance(message, Item):
            self._items.append(message)
        else:
            self._credit += 1


def _work(connection: Connection, reading: Reading, transfer: _Transfer) -> None:
    """What a worker process does: items in, messages out, never more than the window ahead."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's affair
    torch.set_num_threads(1)
    give_back_clips()
    inbox = _Inbox(connection, transfer.window)
    try:
        connection.send("ready")
        while True:
            for message in decode(inbox.item(), reading):
                if isinstance(message, Views):
                    inbox.leave()
                    if not transfer.shared:
                        connection.send(torch.stack(message.views).numpy())
                        continue
                    message = message.compact()
                connection.send(message)
    except (EOFError, OSError):
        return  # told to end, or the main process is gone
    except PtvHubError as error:
        connection.send(error)


class Pool:
    """Worker processes that decode videos ahead of the model."""

    def __init__(self, workers: int, reading: Reading) -> None:
        # Never fork: the main process has threads, and a GPU.
        self._context = multiprocessing.get_context("spawn")
        self._settings = reading, _transfer(workers, reading)
        self._workers = [self._start() for _ in range(workers)]

    def _start(self) -> _Worker:
        return _Worker(self._context, *self._settings)

    def run(self, items: Iterator[Item]) -> Iterator[tuple[Item, Iterator[Message]]]:
        """Each item with its messages, in order; items are taken as workers need them."""
        ahead: deque[_Task] = deque()
        while True:
            self._fill(items, ahead)
            if not ahead:
                return
            task = ahead.popleft()
            yield task.item, self._messages(task, items, ahead)

    def _messages(
        self, task: _Task, items: Iterator[Item], ahead: deque[_Task]
    ) -> Iterator[Message]:
        while True:
            while not task.buffer:
                self._receive()
                self._fill(items, ahead)
            message = task.buffer.popleft()
            yield message
            if isinstance(message, End):
                return
            if task.worker is not None:
                task.worker.send("go on")

    def _fill(self, items: Iterator[Item], ahead: deque[_Task]) -> None:
        """Two tasks for each worker: one in hand, one so that it need not wait for the next."""
        for worker in sorted(self._workers, key=lambda w: len(w.tasks)):
            while len(worker.tasks) < 2:
                item = next(items, None)
                if item is None:
                    return
                task = _Task(item)
                ahead.append(task)
                worker.give(task)

    def _receive(self) -> None:
        """Wait until some worker says something, and take all that was said."""
        heard = wait([worker.connection for worker in self._workers])
        for worker in [worker for worker in self._workers if worker.connection in heard]:
            try:
                message = worker.connection.recv()
            except (EOFError, OSError):
                self._bury(worker)
                continue
            if isinstance(message, PtvHubError):
                raise message
            if message == "ready":
                worker.ready = True
                continue
            if isinstance(message, np.ndarray):
                message = Views(torch.from_numpy(message).unbind())
            worker.tasks[0].buffer.append(message)
            if isinstance(message, End):
                worker.tasks.popleft()

    def _bury(self, dead: _Worker) -> None:
        """End the video on which a worker died, and give its others to a new one."""
        dead.process.join(5)
        if not dead.ready:
            raise EvaluationError(
                "a decoding worker cannot start",
                found=f"it ended with {dead.process.exitcode}",
                fix="call evaluate below 'if __name__ == \"__main__\":', or set workers=0",
            )
        worker = self._start()
        self._workers[self._workers.index(dead)] = worker
        tasks = list(dead.tasks)
        dead.tasks.clear()
        dead.connection.close()
        if tasks:
            crashed = tasks.pop(0)
            crashed.worker = None
            crashed.buffer.append(
                End(
                    0.0,
                    failure=Failure(
                        "the decoder crashed",
                        f"the decoding process ended with {dead.process.exitcode}\n"
                        f"  where:    {crashed.item.video}",
                    ),
                )
            )
        for task in tasks:
            worker.give(task)

    def close(self) -> None:
        """End the workers, whatever they are at."""
        for worker in self._workers:
            worker.send(None)
            worker.connection.close()
        for worker in self._workers:
            worker.process.join(0.5)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
