"""Sharing out videos: a queue a run, ranks that are gone, and that no video is left."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from torch.distributed import HashStore, PrefixStore

from ptv_hub.errors import EvaluationError
from ptv_hub.runs import queue as room
from ptv_hub.runs.queue import Life, Queue, SharedQueue, queue
from tests import ROOT


@pytest.fixture
def world(monkeypatch):
    """``world(ranks)`` -> the store of a run, and the life of each rank."""
    monkeypatch.setattr(room, "BEAT", 0.02)
    monkeypatch.setattr(room, "PATIENCE", 0.4)
    lives: list[Life] = []

    def begun(ranks: int) -> tuple[HashStore, list[Life]]:
        store = HashStore()
        shared = PrefixStore("life", store)
        lives.extend(Life(shared, rank, ranks) for rank in range(ranks))
        return store, lives

    yield begun
    for life in lives:
        life.end()


def test_one_rank_takes_all():
    with Queue() as alone:
        assert list(alone.places(4)) == [0, 1, 2, 3]
        assert (alone.finished(), alone.finished()) == (1, 2)
        assert not alone.left_behind(4)


def test_every_place_is_given_out_once(world):
    store, lives = world(3)
    queues = [SharedQueue(store, life) for life in lives]
    taken: list[int] = []
    threads = [threading.Thread(target=lambda q=q: taken.extend(q.places(200))) for q in queues]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(200))
    assert [queues[1].left_behind(200), queues[2].left_behind(200)] == [(), ()]
    assert queues[0].left_behind(200) == ()


def test_what_a_dead_rank_had_taken_falls_to_rank_0(world):
    store, lives = world(3)
    zero, one, two = (SharedQueue(store, life) for life in lives)
    of_one, of_zero, of_two = one.places(6), zero.places(6), two.places(6)
    assert [next(of_one), next(of_zero), next(of_one), next(of_two)] == [0, 1, 2, 3]
    lives[1].end()  # as if killed: it says nothing more
    assert list(of_two) == [4, 5]
    two.left_behind(6)
    began = time.monotonic()
    assert list(zero.left_behind(6)) == [0, 2]
    assert 0.3 < time.monotonic() - began < 20


def test_a_rank_killed_before_it_said_what_it_took(world):
    store, lives = world(2)
    zero = SharedQueue(store, lives[0])
    store.add("next", 1)  # by rank 1, which said nothing after
    lives[1].end()
    assert list(zero.places(3)) == [1, 2]
    assert list(zero.left_behind(3)) == [0]


def test_a_rank_that_is_slow_but_lives_is_waited_for(world):
    store, lives = world(2)
    zero, one = (SharedQueue(store, life) for life in lives)

    def slow():
        for _ in one.places(1):
            time.sleep(1.2)  # three times as long as a dead rank is waited for
        one.left_behind(1)

    thread = threading.Thread(target=slow)
    thread.start()
    while not store.check(["taken/0"]):
        time.sleep(0.01)
    assert zero.left_behind(1) == ()
    assert store.check(["end/1"])
    thread.join()


def test_a_rank_that_gave_up_is_not_waited_for(world):
    store, lives = world(2)
    zero, one = (SharedQueue(store, life) for life in lives)
    one.__enter__()
    assert next(one.places(2)) == 0
    one.__exit__(OSError, OSError("the disk is full"), None)
    assert list(zero.places(2)) == [1]
    assert list(zero.left_behind(2)) == [0]


def test_the_ranks_must_find_each_other(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(EvaluationError, match="do not find each other"):
        queue("anything")


RANK = """
import json, os, signal, sys, time
from pathlib import Path
from ptv_hub.errors import EvaluationError
from ptv_hub.evaluation.loop import evaluate
from ptv_hub.inference.predict import protocol_for
from ptv_hub.runs import queue
from tests.evaluation.test_loop import ColourModel, linked

class Mortal(ColourModel):
    def __call__(self, clip):
        self.calls += 1
        if os.environ["RANK"] == "0":
            time.sleep(0.2)  # the other must get its share
        elif self.calls > 4:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(clip)

queue.PATIENCE = 4.0
folder = Path(sys.argv[1])
items = linked(folder, 12)
fast = protocol_for(ColourModel().entry, "1x1")
told = []
for out, model in (("a", ColourModel()), ("b", ColourModel()), ("c", Mortal())):
    result = evaluate(model, items, fast, out=folder / out)
    told.append(result and [result.counts.scored, result.counts.pending])

print(json.dumps(told))
"""


def test_several_runs_in_one_process_and_a_rank_that_is_killed(tmp_path):
    """Two ranks without an agent of torchrun: nobody but rank 0 notices that one is gone."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    world = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", RANK, str(tmp_path)],
            cwd=ROOT,
            env={**os.environ, **world, "RANK": str(rank), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        (said, talk), (_, theirs) = (rank.communicate(timeout=300) for rank in ranks)
    finally:
        for rank in ranks:
            rank.kill()
    assert ranks[0].returncode == 0, talk
    assert ranks[1].returncode == -signal.SIGKILL, theirs
    assert said.strip() == "[[12, 0], [12, 0], [12, 0]]"
    assert "ranks are gone" in talk
