"""Live video: which windows are taken, what is left out, and how it ends. No test sleeps."""

from __future__ import annotations

import base64
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from fractions import Fraction

import av
import numpy as np
import pytest
import torch

import ptv_hub
from ptv_hub.datasets import motion
from ptv_hub.errors import UsageError, VideoError
from ptv_hub.inference.live import Clock, origin_of
from ptv_hub.inference.ring import Ring
from ptv_hub.inference.sliding import Wanted, slide, sliding_windows
from ptv_hub.inference.timestamps import Timestamps
from ptv_hub.inference.video import open_video
from ptv_hub.inference.watching import Following, Watching
from ptv_hub.inference.windows import asked_windows, plan_windows
from tests import ROOT
from tests.command import ptv_hub as command

TICK = Fraction(1, 1000)
NOTHING = torch.zeros(1)


@pytest.fixture(scope="module")
def model():
    return ptv_hub.load("motion_x3d")


def written(path, *, seconds=3, kind=None):
    """A video of two motions, ``seconds`` each."""
    frames = motion.draw(("left", "out"), motion.Dice(4), frames=seconds * motion.RATE, ease=0.5)
    with av.open(str(path), "w", format=kind) as container:
        stream = container.add_stream("libx264", rate=motion.RATE, options={"g": "15"})
        stream.height, stream.width, stream.pix_fmt = 80, 112, "yuv420p"
        for pixels in frames.repeat(2, axis=1).repeat(2, axis=2):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


class Frames:
    """A source whose frames are given a connection at a time, each as far as it is let."""

    shown, live = "a camera", True

    def __init__(self, *connections):
        self.connections = list(connections)
        self.given = 0
        self._let = threading.Semaphore(0)
        self._asked = threading.Condition()

    def frames(self):
        if not self.connections:
            raise VideoError("the stream cannot be read", found="connection refused")
        ticks = self.connections.pop(0)
        if isinstance(ticks, Exception):
            raise ticks
        for tick in ticks:
            self._let.acquire()
            yield tick, TICK, np.full((8, 8, 3), 100, np.uint8)
            with self._asked:  # asked for the next: this one has been taken in
                self.given += 1
                self._asked.notify_all()

    def let(self, count):
        """Let so many frames go, and wait until they are in the ring."""
        with self._asked:
            wanted = self.given + count
            self._let.release(count)
            assert self._asked.wait_for(lambda: self.given >= wanted, timeout=30)


class FastClock(Clock):
    """A clock that is put forward instead of being waited for."""

    def __init__(self):
        self.time, self.waits = 0.0, []

    def now(self):
        return self.time

    def wait(self, seconds, unless):
        self.time += seconds
        self.waits.append(seconds)


def watching(model, source, *, stride="0.4s", said=None, **how):
    wanted = Wanted(sliding_windows(model.entry.input, "0.8s", stride), 1)
    how.setdefault("clock", FastClock())
    return Watching(
        model, source, wanted, Following(say=[].append if said is None else said.append, **how)
    )


@pytest.mark.parametrize(("length", "stride"), [("0.8s", "0.3s"), ("0.5s", "0.5s"), ("1s", "2.2s")])
def test_every_window_of_a_file_is_that_of_a_plan(model, length, stride):
    spec = model.entry.input
    windows = asked_windows(length, stride, last="drop")
    rng = np.random.default_rng(0)
    ticks = tuple(np.cumsum(rng.integers(20, 120, 150)).tolist())
    gap = ticks[-1] - ticks[-2]
    stamps = Timestamps(ticks, TICK, ticks[0], (ticks[-1] - ticks[0] + gap) * TICK)
    plan = plan_windows(stamps, spec, windows)
    ring = Ring(Fraction(length[:-1]), Fraction(stride[:-1]), Fraction(0), every=True)

    def add():
        ring.begin(TICK, ticks[0], Fraction(0))
        for tick in ticks:
            if ring.wants(tick):
                ring.add(tick, torch.tensor([float(tick)]))
        ring.end()

    thread = threading.Thread(target=add, daemon=True)
    thread.start()
    taken = []
    while (one := ring.take()) is not None:
        taken.append(one)
        assert ring.count < 25
    thread.join()
    assert [one.start for one in taken] == [clip.start for clip in plan.clips]
    for one, clip in zip(taken, plan.clips, strict=True):
        assert set(clip.frames) <= {ticks.index(tick) for tick in one.ticks}
        assert (one.skipped, one.dropped) == (0, 0)
        assert [float(pixels) for pixels in one.frames] == list(map(float, one.ticks))


def test_the_newest_window_wins_and_what_is_left_out_is_counted(model):
    source = Frames(range(0, 100_000, 100))
    windows = iter(watching(model, source))
    source.let(9)  # at 0, 100, ... 800: the first window of 0.8 s is whole
    first = next(windows)
    assert (first.start, first.end, first.skipped, first.dropped) == (0, 0.8, 0, 0)
    source.let(40)  # up to 4.8 s: the last whole window begins at 4.0
    late = next(windows)
    assert (late.start, late.end) == (4.0, 4.8)
    assert late.skipped == 9  # those at 0.4, 0.8, ... 3.6
    assert late.dropped == 32  # those at 0.8, 0.9, ... 3.9
    source.let(4)
    assert next(windows).skipped == 0
    windows.close()


def test_memory_is_bounded_however_long_it_lasts():
    ring = Ring(Fraction(2), Fraction(1), Fraction(1, 50), every=False)
    ring.begin(Fraction(1, 90_000), 0, Fraction(0))
    most = 0
    for number in range(20_000):  # of a camera of 240 a second
        if ring.wants(number * 375):
            ring.add(number * 375, NOTHING)
        most = max(most, ring.count)
    assert 100 <= most <= 50 * 3 + 2
    taken = ring.take()
    assert taken is not None
    assert taken.start == 81  # 83.3 s have come


def test_a_file_is_seen_as_it_is_annotated_to_the_bit(model, tmp_path):
    path = written(tmp_path / "a.mp4")
    windows = sliding_windows(model.entry.input, None, "0.4s").model_copy(update={"last": "drop"})
    with open_video(path) as video:
        expected, _ = slide(model, video, Wanted(windows))
    with ptv_hub.watch(model, path, stride="0.4s") as live:
        found = list(live)
    assert len(found) == len(expected) == 13
    for one, other in zip(found, expected, strict=True):
        assert one.predictions == other.predictions
        assert one.start == pytest.approx(other.start)
    assert (live.windows, live.skipped, live.dropped) == (13, 0, 0)


def test_in_real_time_frames_come_no_sooner_than_they_are_shown(model, tmp_path):
    path = written(tmp_path / "a.mp4", seconds=1)
    clock = FastClock()
    source = origin_of(str(path), realtime=True)
    found = list(watching(model, source, realtime=True, clock=clock))
    assert clock.time == pytest.approx(29 / 15)
    assert max(clock.waits) == pytest.approx(1 / 15)
    assert found
    assert clock.waits


def test_a_stream_that_breaks_is_opened_again_and_at_last_given_up(model):
    broken = VideoError("the stream cannot be read", found="timed out")
    source = Frames(range(0, 1000, 100), broken, broken, range(50_000, 51_000, 100))
    clock, said = FastClock(), []
    windows = iter(watching(model, source, said=said, clock=clock, retries=4))
    source._let.release(100)
    found = []
    with pytest.raises(VideoError, match="gone") as caught:
        found.extend(windows)  # extend keeps what came before
    assert clock.waits == [1, 2, 4, 1, 2, 4, 8]
    assert "connection refused, 4 times in a row" in caught.value.found
    assert len(said) == 7
    assert said[0] == "a camera: it ended; again in 1 s"
    assert said[1] == "a camera: timed out; again in 2 s"


def test_no_window_lies_over_a_gap(model):
    source = Frames([*range(0, 700, 100), *range(90_000, 90_900, 100)])
    windows = iter(watching(model, source, retries=0))
    source._let.release(100)
    found = list(windows)
    assert len(found) == 1
    assert found[0].end - found[0].start == pytest.approx(0.8)


def test_what_cannot_be_opened_at_first_is_an_error_at_once(model):
    clock = FastClock()
    with pytest.raises(VideoError, match="cannot be read"):
        list(watching(model, Frames(), clock=clock))
    assert clock.waits == []


def test_sources_and_what_is_shown_of_them(tmp_path):
    assert origin_of("0", realtime=False).kind == "camera"
    assert origin_of("/dev/video3", realtime=False).shown == "/dev/video3"
    secret = origin_of("rtsp://me:pass@[::1]:8554/a?pwd=1#x", realtime=False)
    assert secret.shown == "rtsp://[::1]:8554/a?..."
    for wrong in ("ftp://a/b", "concat://a"):
        with pytest.raises(UsageError, match="another kind"):
            origin_of(wrong, realtime=False)
    with pytest.raises(VideoError, match="no such video"):
        origin_of(str(tmp_path / "missing.mp4"), realtime=False)


# ---------------------------------------------------------------------------- over HTTP

LOGIN = "Basic " + base64.b64encode(b"me:secret").decode()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Address of MPEG-TS without a length: /once ends, /endless begins anew again and again."""
    data = written(tmp_path_factory.mktemp("live") / "a.ts", kind="mpegts").read_bytes()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.headers.get("Authorization") != LOGIN:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="x"')
                self.end_headers()
                return
            self.send_response(200)
            self.send_header("Content-Type", "video/mp2t")
            self.send_header("Connection", "close")
            self.end_headers()
            try:
                self.wfile.write(data)
                while self.path.startswith("/endless"):
                    self.wfile.write(data)
            except OSError:
                pass  # the other side has gone

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://me:secret@127.0.0.1:{server.server_port}"
    server.shutdown()


def test_a_stream_over_http(model, served):
    said = []
    with ptv_hub.watch(model, f"{served}/once.ts?token=secret", say=said.append, retries=0) as live:
        found = list(live)
    assert found  # of a stream that comes at once the newest
    assert found[-1].end == pytest.approx(6, abs=0.6)
    assert said == []


def test_no_login_is_told(model, served):
    wrong = served.replace("me:secret", "me:wrong")
    with pytest.raises(VideoError) as caught:
        list(ptv_hub.watch(model, f"{wrong}/once.ts?token=secret"))
    assert "wrong" not in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_signal_ends_it_cleanly(served, number):
    address = f"{served}/endless.ts"
    words = ["watch", "motion_x3d", address, "--json", "--stride", "0.5s", "--threads", "1"]
    with subprocess.Popen(
        [sys.executable, "-m", "ptv_hub", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        lines = [json.loads(process.stdout.readline()) for _ in range(4)]
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "windows; " in err
    assert "Traceback" not in err
    assert "secret" not in err
    assert [one["end"] for one in lines] == sorted(one["end"] for one in lines)
    assert {"start", "end", "predictions", "skipped", "dropped", "behind"} == set(lines[0])


def test_on_the_command_line(tmp_path):
    path = written(tmp_path / "a.mp4", seconds=1)
    done = command("watch", "motion_x3d", path, "--stride", "0.4s", "-k", 1)
    assert done.code == 0, done.err
    assert [line.split()[:3] for line in done.out.splitlines()] == [
        ["0.00", "-", "1.07"],
        ["0.40", "-", "1.47"],
        ["0.80", "-", "1.87"],
    ]
    assert "3 windows; 0 passed over, 0 frames unseen" in done.err
    assert command("watch", "motion_x3d", "gopher://x").code == 2
    missing = command("watch", "motion_x3d", "/dev/video77")
    assert missing.code == 1
    assert "/dev/video77" in missing.err
