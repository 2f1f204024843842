"""One function over many items in several processes, in order, whatever one of them does."""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

Thing = TypeVar("Thing")
Result = TypeVar("Result")


def each(
    function: Callable[[Thing], Result], things: Iterable[Thing], workers: int
) -> Iterator[tuple[Thing, Result | None]]:
    """Each thing with what the function gives for it; ``None`` if its process died over it."""
    if workers == 0:
        yield from ((thing, function(thing)) for thing in things)
        return
    waiting = iter(things)
    ahead: deque[Thing] = deque()
    while True:
        pool = _pool(workers)
        try:
            futures: deque[Future[Result]] = deque(pool.submit(function, one) for one in ahead)
            while True:
                for one in islice(waiting, 4 * workers - len(ahead)):
                    ahead.append(one)
                    futures.append(pool.submit(function, one))
                if not ahead:
                    return
                result = futures.popleft().result()
                yield ahead.popleft(), result
        except BrokenProcessPool:
            # Whose fault it was the pool cannot tell: try the first alone, the rest in a new one.
            first = ahead.popleft()
            yield first, _alone(function, first)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _alone(function: Callable[[Thing], Result], thing: Thing) -> Result | None:
    with _pool(1) as pool:
        try:
            return pool.submit(function, thing).result()
        except BrokenProcessPool:
            return None


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("spawn"), initializer=_quiet
    )


def _quiet() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's affair
