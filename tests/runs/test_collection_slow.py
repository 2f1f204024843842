"""A collection as it is run for days: killed again and again, by ranks and workers; an hour of
video in bounded memory; a Ray cluster."""

from __future__ import annotations

import csv
import os
import random
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from ptv_hub.errors import UsageError
from ptv_hub.runs.collection import FAILURES
from ptv_hub.runs.ledger import FOLDER, Ledger
from tests import ROOT
from tools.processes import family

pytestmark = pytest.mark.slow

VIDEOS, BROKEN, MOMENTS = 300, 10, 20


def draw_video(path: Path, count: int, size: tuple[int, int], seed: int, codec="mpeg4") -> None:
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 256, (size[1] // 8, size[0] // 8, 3), np.uint8)
    picture = np.kron(first, np.ones((8, 8, 1), np.uint8))
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height = size
        stream.codec_context.time_base = Fraction(1, 30)
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(np.roll(picture, number, axis=1), format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        found: int = server.getsockname()[1]
        return found


def command(ranks: int, *words: object) -> list[str]:
    run = ["-m", "torch.distributed.run", f"--nproc-per-node={ranks}", f"--master-port={port()}"]
    return [sys.executable, *(run if ranks > 1 else []), "-m", "ptv_hub", *map(str, words)]


def arrays(out: Path) -> dict[str, bytes]:
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in sorted(out.rglob("*.npy"))}


def how_many(out: Path) -> int:
    return sum(1 for _ in out.rglob("*.npy"))


def killed(process: subprocess.Popen, *, whole: bool) -> bool:
    """Whether it was at work; nobody is when this returns. ``whole``: all of it at one moment, or
    the first process alone, and the others have to notice."""
    working, all_of_it = process.poll() is None, family(process.pid)
    for one in all_of_it if whole else all_of_it[:1]:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
    process.wait()
    limit = time.monotonic() + 120
    while any(alive(one) for one in all_of_it):
        assert time.monotonic() < limit, "somebody still works for a killed run"
        time.sleep(0.1)
    return working


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(process: subprocess.Popen, out: Path, count: int) -> None:
    """Until so many videos are done, or it has ended."""
    limit = time.monotonic() + 600
    while process.poll() is None and how_many(out) < count:
        assert time.monotonic() < limit
        time.sleep(0.01)


def draw_collection(folder: Path, rng: random.Random) -> None:
    """Many of the videos have the name of another one, in another folder or beside it."""
    broken = set(rng.sample(range(VIDEOS), BROKEN))
    for number in range(VIDEOS):
        path = folder / f"{number % 7}" / f"v{number // 7 % 40}.{('mp4', 'avi')[number // 280]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number in broken:
            path.write_bytes(b"broken" * number)
        else:
            draw_video(path, 20 + number % 30, (64, 48), number)


def test_twenty_kills_lose_nothing_and_change_nothing(tmp_path):
    """``-s`` shows each moment: how many ranks and workers, and how many videos were done."""
    folder, out, whole = tmp_path / "videos", tmp_path / "out", tmp_path / "whole"
    rng = random.Random(11)
    draw_collection(folder, rng)
    words = ("features", "motion_x3d", folder, "--window", 16, "--stride", 8, "--format", "npy")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

    def start(out: Path, ranks: int, workers: int) -> subprocess.Popen:
        return subprocess.Popen(
            command(ranks, *words, "-o", out, "--workers", workers),
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    assert start(whole, 1, 0).wait() == 1  # some could not be done
    expected = arrays(whole)
    assert len(expected) == VIDEOS - BROKEN
    out.mkdir()
    at_work = 0
    for moment in range(MOMENTS):
        ranks, workers, more = rng.choice([1, 2, 3]), rng.choice([0, 1, 2, 3]), rng.randrange(16)
        process = start(out, ranks, workers)
        if more:
            wait_for(process, out, how_many(out) + more)
            time.sleep(rng.random() / 20)
        else:  # before it has begun, or where it begins
            time.sleep(rng.random() * 10)
        was = killed(process, whole=bool(rng.randrange(4)))
        at_work += was
        print(f"{moment + 1}: {ranks} ranks, {workers} workers, {how_many(out)} done, killed {was}")
    assert at_work == MOMENTS
    assert how_many(out) < VIDEOS - BROKEN
    assert start(out, 3, 2).wait(timeout=1800) == 1
    assert arrays(out) == expected
    with open(out / FAILURES, newline="") as file:
        assert len(list(csv.DictReader(file))) == BROKEN
    assert times_done(out) == dict.fromkeys((name[:-4] for name in expected), 1)


def times_done(out: Path) -> dict[str, int]:
    done: dict[str, int] = {}
    for path in (out / FOLDER).glob("*.sqlite"):
        with Ledger(path, new=False) as ledger:
            if ledger.is_new:
                continue  # killed before its first word
            for entry in ledger.entries():
                if entry.reason is None:
                    done[entry.name] = done.get(entry.name, 0) + 1
    return done


MEMORY = """
import resource, sys
import ptv_hub
model = ptv_hub.load(sys.argv[1], pretrained=False)
found = ptv_hub.features(model, sys.argv[2], window="2s", stride="1s")
print(len(found.start), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


@pytest.mark.parametrize(("name", "limit"), [("x3d_m", 2.0), ("slowfast_r50", 3.0)])
def test_a_long_1080p_video_in_bounded_memory(tmp_path, name, limit):
    """Two minutes: of an hour only the rows and time stamps are more, 40 MB."""
    path = tmp_path / "long.mp4"
    draw_video(path, 30 * 120, (1920, 1080), 1)
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, name, str(path)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    rows, gigabytes = done.stdout.split()
    assert int(rows) == 119
    assert float(gigabytes) < limit


WORKER = """
import sys
from multiprocessing import active_children
import torch
from ptv_hub.datasets.decoding import Reading, Views
from ptv_hub.datasets.listing import Item
from ptv_hub.inference.viewing import WindowViews
from ptv_hub.inference.windows import Windows
from ptv_hub.runs.pool import Pool
from ptv_hub.zoo.manifest import find

def own_memory(process):
    lines = open(f"/proc/{process}/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 2**10

if __name__ == "__main__":
    windows = WindowViews(find("x3d_m").input, Windows(window="2s", stride="1s"))
    pool = Pool(1, Reading(windows, content=True))
    (worker,) = (child.pid for child in active_children())
    for _, messages in pool.run(iter([Item("a", sys.argv[1], ())])):
        print(*(own_memory(worker) for message in messages if isinstance(message, Views)))
    pool.close()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_worker_keeps_no_clip_that_it_sent(tmp_path):
    """Each is of 12.6 MB; glibc left to itself kept most of them beside frames of 1080p."""
    path, script = tmp_path / "long.mp4", tmp_path / "worker.py"
    draw_video(path, 30 * 40, (1920, 1080), 1)
    script.write_text(WORKER)
    done = subprocess.run(
        [sys.executable, str(script), str(path)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    megabytes = [float(word) for word in done.stdout.split()]
    assert len(megabytes) == 39
    assert max(megabytes[20:]) - megabytes[9] < 50


def test_a_ray_cluster_of_two_workers(tmp_path, drawn):
    ray = pytest.importorskip("ray", reason="make test-ray has an environment with ray[data]")
    sys.path.insert(0, str(ROOT / "examples"))
    from ray_features import extract

    folder = tmp_path / "videos"
    for number in range(4):
        path = folder / str(number % 2) / "v.mp4" if number < 2 else folder / f"v{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_video(path, 40, (64, 48), number)
    (folder / "bad.mp4").write_bytes(b"no video")
    weights = str(drawn("x3d_xs", training=False))
    paths = os.pathsep.join([str(ROOT), str(ROOT / "examples")])
    environment = {"env_vars": {"PYTHONPATH": paths}}
    ray.init(num_cpus=2, include_dashboard=False, runtime_env=environment)
    try:
        options = {"window": "32", "stride": "16"}
        asked = ("x3d_xs", [str(folder)], str(tmp_path / "out"))
        rows = extract(*asked, options, weights=weights)
        with pytest.raises(UsageError, match="other settings"):
            extract(*asked, {**options, "stride": "8"}, weights=weights)
        made = {row["file"]: os.stat(row["file"]).st_mtime_ns for row in rows if row["file"]}
        again = extract(*asked, options, weights=weights)
        assert sorted(again, key=str) == sorted(rows, key=str)
        assert {name: os.stat(name).st_mtime_ns for name in made} == made
    finally:
        ray.shutdown()
    assert len(rows) == 5
    failed = [row for row in rows if row["error"]]
    assert [Path(row["video"]).name for row in failed] == ["bad.mp4"]
    import ptv_hub

    model = ptv_hub.load("x3d_xs", weights=weights)
    for row in rows:
        if not row["error"]:
            mine = ptv_hub.features(model, row["video"], window="32", stride="16").values.numpy()
            with np.load(row["file"]) as file:
                assert np.abs(file["features"] - mine).max() <= 1e-6
                assert row["rows"] == len(mine) == 2
