"""Live video served by others: HTTP by FFmpeg, RTSP by GStreamer; and an hour of it."""

from __future__ import annotations

import resource
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import ptv_hub
from ptv_hub.errors import VideoError
from tests import ROOT
from tests.inference.test_watching import FastClock, watching, written

pytestmark = pytest.mark.slow
SYSTEM = Path("/usr/bin/python3")


@pytest.fixture(scope="module")
def model():
    return ptv_hub.load("motion_x3d")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def running(*words):
    process = subprocess.Popen(list(map(str, words)), stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def seen_at(address, model, **options):
    """Windows of an address that is being served, or will be in a moment."""
    for _ in range(100):
        try:
            return list(ptv_hub.watch(model, address, stride="0.5s", **options))
        except VideoError as error:
            if "refused" not in str(error):
                raise
            time.sleep(0.1)
    raise AssertionError(f"nobody serves {address}")


def test_http_that_ffmpeg_serves(model, tmp_path):
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip("FFmpeg's program is not installed: make test-watch installs it")
    address = f"http://127.0.0.1:{free_port()}/live.ts"
    path = written(tmp_path / "a.mp4")
    as_stream = ("-c", "copy", "-f", "mpegts", "-listen", 1, address)
    with running(ffmpeg, "-v", "error", "-re", "-i", path, *as_stream):
        found = seen_at(address, model, retries=0)
    assert found[0].start == 0
    assert found[-1].end > 4
    said = [one.predictions[0].label for one in found if one.end <= 3]
    assert said.count("left") > len(said) / 2


def test_rtsp_that_gstreamer_serves(model, tmp_path):
    check = [str(SYSTEM), str(ROOT / "tests" / "rtsp_server.py"), "--check"]
    if not SYSTEM.exists() or subprocess.run(check, capture_output=True, check=False).returncode:
        pytest.skip("GStreamer's RTSP server is not installed: make test-watch installs it")
    path = written(tmp_path / "a.mp4")
    with running(SYSTEM, ROOT / "tests" / "rtsp_server.py", path) as server:
        address = f"rtsp://me:secret@127.0.0.1:{int(server.stdout.readline())}/live"
        said = []
        with ptv_hub.watch(model, address, stride="0.5s", say=said.append) as windows:
            found = []
            for one in windows:
                found.append(one)
                if len(said) == 1 and one.start > 7:
                    break  # it ended, and was opened again
    labels = [one.predictions[0].label for one in found if one.end <= 3]
    assert labels.count("left") > len(labels) / 2
    assert [one.start for one in found] == sorted(one.start for one in found)
    assert len(said) == 1
    assert "again in 1 s" in said[0]
    assert "secret" not in said[0]


class Hours:
    """Frames, 30 a second, for an hour."""

    shown, live = "an hour", True

    def frames(self):
        pixels = np.zeros((48, 64, 3), np.uint8)
        for number in range(30 * 3600):
            yield number, Fraction(1, 30), pixels


def test_an_hour_takes_no_more_memory_than_a_minute(model):
    windows = watching(model, Hours(), stride="1s", retries=0, clock=FastClock())
    after_a_minute = None
    for one in windows:
        if one.start > 60 and after_a_minute is None:
            after_a_minute = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - after_a_minute
    assert one.end > 3500
    assert grown < 20_000, f"{grown / 1024:.0f} MB"
