"""Decoding: containers, codecs, folders, memory, addresses; damage; what it costs."""

from __future__ import annotations

import functools
import http.server
import io
import json
import random
import shutil
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from ptv_hub.datasets.check import fault
from ptv_hub.datasets.decoding import Reading, decode
from ptv_hub.datasets.listing import Item
from ptv_hub.errors import UsageError, VideoError, WrongInput
from ptv_hub.fetching.hub import entry
from ptv_hub.inference.container import CORRUPT
from ptv_hub.inference.video import open_video
from ptv_hub.inference.viewing import ProtocolViews
from ptv_hub.inference.views import plan_views
from tests import GOLDEN

VIDEOS = sorted((GOLDEN / "videos").iterdir())


def picture(index: int, width: int, height: int) -> np.ndarray:
    """A frame whose left half says its number by its brightness; RGB, uint8."""
    image = np.full((height, width, 3), 128, np.uint8)
    image[:, : width // 2] = 20 + 10 * index
    return image


def draw(file, codec="libx264", *, count=20, rate=25, pixels="yuv420p", size=(64, 48), **kind):
    """A small video of numbered frames, written by PyAV; every codec its own encoder."""
    options = {
        "libx265": {"x265-params": "log-level=error"},
        "libsvtav1": {"preset": "12", "svtav1-params": "lp=1"},
        "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
    }.get(codec, {})
    with av.open(file, "w", **kind) as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(picture(index, *size), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file


def numbers(video) -> list[int]:
    """Which frames came, by their brightness, in order of place."""
    frames = dict(video.frames(range(len(video.timestamps.pts))))
    half = frames[0].shape[1] // 4
    return [round((float(frames[i][:, :half].mean()) - 20) / 10) for i in sorted(frames)]


# -- files -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", VIDEOS, ids=lambda path: path.name)
def test_frames_and_times_are_those_of_plain_pyav(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        decoded = [(frame.pts, frame.to_rgb().to_ndarray()) for frame in container.decode(stream)]
        base, stated = stream.time_base, stream.duration
    with open_video(path) as video:
        times = video.timestamps
        assert list(times.pts) == [pts for pts, _ in decoded]
        assert times.time_base == base
        # Matroska states none: the time stamp of the last frame.
        assert times.duration == (decoded[-1][0] if stated is None else stated) * base
        wanted = [0, len(decoded) // 2, len(decoded) - 1, 1]
        found = list(video.frames(wanted))
    assert [place for place, _ in found] == sorted(wanted)
    assert all(np.array_equal(frame, decoded[place][1]) for place, frame in found)


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("h264.mp4", "libx264", "yuv420p"),
        ("h264_10.mp4", "libx264", "yuv420p10le"),
        ("hevc.mp4", "libx265", "yuv420p"),
        ("hevc_10.mkv", "libx265", "yuv420p10le"),
        ("av1.mkv", "libsvtav1", "yuv420p"),
        ("av1_10.mp4", "libsvtav1", "yuv420p10le"),
        ("vp9.webm", "libvpx-vp9", "yuv420p"),
        ("vp8.webm", "libvpx", "yuv420p"),
        ("mpeg4.avi", "mpeg4", "yuv420p"),
        ("mpeg2.ts", "mpeg2video", "yuv420p"),
        ("h264.ts", "libx264", "yuv420p"),
        ("h264.flv", "libx264", "yuv420p"),
        ("mjpeg.mov", "mjpeg", "yuvj420p"),
        ("lossless.mkv", "ffv1", "yuv444p"),
    ],
)
def test_codecs_and_containers(tmp_path, name, codec, pixels):
    with open_video(draw(str(tmp_path / name), codec, pixels=pixels)) as video:
        assert numbers(video) == list(range(20))
        seconds = [at - video.timestamps.seconds[0] for at in video.timestamps.seconds]
        assert seconds == pytest.approx([i / 25 for i in range(20)], abs=1e-3)
        assert video.notes == ()


def test_bytes_of_a_file_are_read_as_the_file_is():
    path = VIDEOS[0]
    with open_video(path) as on_disk, open_video(path.read_bytes()) as in_memory:
        assert in_memory.timestamps == on_disk.timestamps
        pairs = zip(on_disk.frames([3, 50]), in_memory.frames([3, 50]), strict=True)
        assert all(np.array_equal(a[1], b[1]) for a, b in pairs)


def test_sound_is_ignored(tmp_path):
    file = str(tmp_path / "sound.mp4")
    with av.open(file, "w") as container:
        sound = container.add_stream("aac", rate=16000)
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 64000), np.float32), "fltp", "mono")
        silence.rate = 16000
        container.mux(sound.encode(silence))
        for index in range(20):
            frame = av.VideoFrame.from_ndarray(picture(index, 64, 48), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(sound.encode())
        container.mux(stream.encode())
    with open_video(file) as video:
        assert numbers(video) == list(range(20))
        assert video.timestamps.duration == Fraction(20, 25)  # not the four seconds of the sound


def turned_video(folder: Path) -> bytes:
    """As a phone writes it that was held upright."""
    data = bytearray(Path(draw(str(folder / "phone.mp4"))).read_bytes())
    matrix = data.index(b"tkhd") + 44  # of the track's header, 3 x 3 numbers of 16.16 bits
    turned = [0, 1 << 16, 0, (1 << 32) - (1 << 16), 0, 0, 0, 0, 1 << 30]
    data[matrix : matrix + 36] = b"".join(value.to_bytes(4, "big") for value in turned)
    return bytes(data)


def test_rotation_is_said_and_not_applied(tmp_path):
    with open_video(turned_video(tmp_path)) as video:
        assert next(video.frames([0]))[1].shape == (48, 64, 3)
        assert numbers(video) == list(range(20))
        assert "rotation" in video.notes[0]


def test_a_stream_cut_before_a_key_frame_has_the_times_of_what_is_shown(tmp_path):
    whole, cut = str(tmp_path / "whole.ts"), str(tmp_path / "cut.ts")
    with av.open(whole, "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "8", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(20):
            frame = av.VideoFrame.from_ndarray(picture(index, 64, 48), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with av.open(whole) as source, av.open(cut, "w") as target:
        copy = target.add_stream_from_template(source.streams.video[0])
        for packet in list(source.demux(video=0))[3:]:
            if packet.size:
                packet.stream = copy
                target.mux(packet)
    with av.open(cut) as container:
        shown = [frame.pts for frame in container.decode(video=0)]
    assert len(shown) < 17  # of 17 packets: some need frames that are gone
    with open_video(cut) as video:
        assert list(video.timestamps.pts) == shown
        assert len(list(video.frames(range(len(shown))))) == len(shown)


def test_a_raw_stream_without_time_stamps_says_what_to_do(tmp_path):
    file = draw(str(tmp_path / "raw.h264"), format="h264")
    with pytest.raises(VideoError, match="time stamps") as caught:
        open_video(file)
    assert "ffmpeg" in caught.value.fix


def test_a_missing_file_an_empty_one_and_one_without_pictures(tmp_path):
    with pytest.raises(VideoError, match="no such video"):
        open_video(tmp_path / "nothing.mp4")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("<!DOCTYPE html><title>not found</title>")
    for name in ("empty.mp4", "text.mp4"):
        with pytest.raises(VideoError, match="cannot be read as a video"):
            open_video(tmp_path / name)
    with av.open(str(tmp_path / "sound.wav"), "w") as container:
        sound = container.add_stream("pcm_s16le", rate=8000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        silence.rate = 8000
        container.mux(sound.encode(silence))
    with pytest.raises(VideoError, match="no video"):
        open_video(tmp_path / "sound.wav")


def test_a_playlist_reads_nothing_elsewhere(tmp_path):
    shutil.copy(VIDEOS[0], tmp_path / "secret.ts")
    (tmp_path / "list.mp4").write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/{VIDEOS[0].name}\n"
    )
    with pytest.raises(VideoError):
        open_video(tmp_path / "list.mp4")


# -- images and arrays -------------------------------------------------------------------


def test_a_folder_of_frames_in_natural_order(tmp_path):
    for index in (10, 9, 1, 2):
        Image.fromarray(picture(index, 32, 24)).save(tmp_path / f"frame{index}.png")
    (tmp_path / "notes.txt").write_text("not a frame")
    with open_video(tmp_path) as video:
        assert numbers(video) == [1, 2, 9, 10]
        assert video.timestamps.rate == 30
    with open_video(tmp_path, fps=12.5) as video:
        assert video.timestamps.duration == Fraction(4) / Fraction(25, 2)
    listed = [tmp_path / "frame9.png", tmp_path / "frame2.png"]
    with open_video(listed) as video:
        assert numbers(video) == [9, 2]  # a list is in its own order


def test_jpegs_are_decoded_as_pillow_decodes_them():
    folder = GOLDEN / "frames" / "101"
    with open_video(folder) as video:
        (_, frame), *_ = video.frames([14])
    with Image.open(folder / "101_000015.jpg") as image:
        assert np.array_equal(frame, np.asarray(image.convert("RGB")))


def test_images_of_other_kinds(tmp_path):
    pixels = picture(7, 32, 24)
    Image.fromarray(pixels).convert("RGBA").save(tmp_path / "1.png")
    Image.fromarray(pixels[..., 0]).save(tmp_path / "2.png")
    with open_video(tmp_path) as video:
        (_, alpha), (_, grey) = video.frames([0, 1])
        assert np.array_equal(alpha, pixels)
        assert np.array_equal(grey, np.repeat(pixels[..., :1], 3, axis=2))
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(tmp_path / "3.png")
    (tmp_path / "4.jpg").write_bytes(b"\xff\xd8\xff not a picture")
    with open_video(tmp_path) as video:
        for place, name in ((2, "3.png"), (3, "4.jpg")):
            with pytest.raises(VideoError, match="a frame cannot be read") as caught:
                list(video.frames([place]))
            assert name in caught.value.where


def test_arrays_and_tensors():
    frames = np.stack([picture(i, 32, 24) for i in range(6)])
    frames.flags.writeable = False
    for given in (frames, torch.from_numpy(frames.copy())):
        with open_video(given, fps=10) as video:
            assert numbers(video) == list(range(6))
            assert video.timestamps.seconds[1] == pytest.approx(0.1)
    for wrong in (frames.astype(float), frames.transpose(0, 3, 1, 2), frames[0], 3, None):
        with pytest.raises(WrongInput) as caught:
            open_video(wrong)
        assert "uint8 of shape (T, H, W, 3)" in str(caught.value)


def test_a_file_has_its_own_rate():
    for source in (VIDEOS[0], VIDEOS[0].read_bytes(), "https://example.invalid/a.mp4"):
        with pytest.raises(UsageError, match="its own time stamps"):
            open_video(source, fps=30)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_an_address(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    handler = functools.partial(Quiet, directory=str(GOLDEN / "videos"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        try:
            with open_video(f"{address}/{VIDEOS[0].name}") as video:
                assert len(list(video.frames([0, 5]))) == 2
            with pytest.raises(VideoError, match="cannot be downloaded") as caught:
                open_video(f"{address}/missing.mp4")
            assert "404" in caught.value.found
            with pytest.raises(VideoError, match="cannot be read as a video"):
                open_video(f"{address}/")  # a listing, HTML
        finally:
            server.shutdown()
    with pytest.raises(VideoError, match="cannot be downloaded"):
        open_video(f"{address}/{VIDEOS[0].name}")
    assert list(tmp_path.iterdir()) == []  # the downloaded copies are gone, whatever happened


# -- damage ------------------------------------------------------------------------------


def damaged() -> bytes:
    """An AVI with ten frames in its middle overwritten."""
    data = bytearray((GOLDEN / "videos" / "portrait_25fps_5s.avi").read_bytes())
    at = len(data) // 2
    for _ in range(10):
        at = data.index(b"00dc", at) + 8
        data[at : at + 64] = bytes(64)
    return bytes(data)


def test_damage_is_an_error_unless_it_is_allowed():
    with pytest.raises(VideoError, match="damaged") as caught, open_video(damaged()) as video:
        list(video.frames(range(125)))
    assert "allow broken" in caught.value.fix
    with open_video(damaged(), allow_broken=True) as video:
        kept = len(video.timestamps.pts)
        assert 100 < kept < 125
        assert f"{kept} of 125 frames" in video.notes[0]
        assert len(list(video.frames(range(kept)))) == kept


def test_a_file_cut_short():
    data = (GOLDEN / "videos" / "portrait_25fps_5s.avi").read_bytes()
    with pytest.raises(VideoError, match="damaged") as caught:
        open_video(data[: len(data) // 2])
    assert "of 125 frames" in caught.value.found
    with open_video(data[: len(data) // 2], allow_broken=True) as video:
        # The views are laid over what is left, not over the five seconds the header states.
        assert 1.5 < video.timestamps.duration < 3.5
        item = entry("x3d_xs")
        assert plan_views(video.timestamps, item.input, item.protocol).num_views == 30


def test_an_avi_whose_ticks_are_half_frames_is_whole(tmp_path):
    """As ``ffmpeg -i in.mp4 -c copy out.avi`` writes B-frames: behind the last one a tick more."""
    with av.open(str(tmp_path / "half.avi"), "w") as container:
        stream = container.add_stream("mpeg4", rate=50)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        frames = [av.VideoFrame.from_ndarray(picture(i, 64, 48), format="rgb24") for i in range(9)]
        for index, frame in enumerate([*frames, None]):
            if frame is not None:
                frame.pts, frame.time_base = 2 * index, Fraction(1, 50)
            for packet in stream.encode(frame):
                packet.duration = 2
                container.mux(packet)
    with open_video(tmp_path / "half.avi") as video:
        assert numbers(video) == list(range(9))
    data = (tmp_path / "half.avi").read_bytes()
    with pytest.raises(VideoError, match="damaged"):
        open_video(data[: data.rindex(b"00dc", 0, data.rindex(b"idx1") - 400)])


def test_a_container_that_states_more_than_there_is():
    data = (GOLDEN / "videos" / "ntsc_6s.mkv").read_bytes()
    with open_video(data[: len(data) // 2]) as video:
        assert "the container states 6.0 s" in video.notes[0]


FUZZ = """
import json, pathlib, random, sys
from ptv_hub.errors import PtvHubError
from ptv_hub.fetching.hub import entry
from ptv_hub.inference.video import open_video
from ptv_hub.inference.views import plan_views

path, seed, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
data, item, rng = open(path, "rb").read(), entry("x3d_xs"), random.Random(seed)
outcomes = []
for index in range(count):
    broken = bytearray(data)
    if index % 2:
        del broken[rng.randrange(len(broken)):]
    else:
        for _ in range(rng.choice([1, 8, 64])):
            broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
    try:
        with open_video(bytes(broken), allow_broken=index % 4 > 1) as video:
            plan = plan_views(video.timestamps, item.input, item.protocol)
            for _, frame in video.frames(plan.frames):
                assert frame.ndim == 3 and frame.shape[2] == 3
        outcomes.append("read")
    except PtvHubError as error:
        assert str(error)
        outcomes.append("refused")
# Not getrusage: its maximum is the parent's, whose pages the child had before it began.
status = pathlib.Path("/proc/self/status")
lines = status.read_text().splitlines() if status.exists() else []
peak = next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)
print(json.dumps({"outcomes": outcomes, "peak": peak}))
"""


@pytest.mark.parametrize("path", VIDEOS, ids=lambda path: path.name)
def test_truncated_and_flipped_files_are_read_or_refused(path):
    """In a process of its own: a crash or a hang of the decoder fails this test, not the run."""
    command = [sys.executable, "-c", FUZZ, str(path), "1", "16"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert len(result["outcomes"]) == 16
    assert result["peak"] < 400_000  # kilobytes: nothing grows with the number of files


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("path", VIDEOS, ids=lambda path: path.name)
def test_many_truncated_and_flipped_files(path, seed):
    command = [sys.executable, "-c", FUZZ, str(path), str(100 + seed), "200"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["peak"] < 400_000


def test_opening_many_leaks_nothing_open():
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0

    before = open_files()
    for index in range(20):
        with open_video(VIDEOS[index % 4]) as video:
            next(video.frames([5]))  # and leave the rest
        with pytest.raises(VideoError):
            open_video(random.Random(index).randbytes(1000))
    assert open_files() <= before


def test_decoding_ends_with_the_last_frame_wanted(monkeypatch):
    """Damage behind the frames that are needed is nobody's business, as in the reference."""
    broken = damaged()
    with open_video(broken) as video:
        assert [place for place, _ in video.frames([0, 3])] == [0, 3]


def test_in_memory_files_are_not_touched():
    data = io.BytesIO(VIDEOS[0].read_bytes())
    with open_video(data.getbuffer()) as video:
        assert len(video.timestamps.pts) > 0


def noisy(seed: int = 0) -> bytes:
    """A moving H.264 video, some bytes of whose pictures are others."""
    file = io.BytesIO()
    rng = np.random.default_rng(seed)
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream(
            "libx264", rate=25, options={"g": "50", "bf": "4", "b-adapt": "0"}
        )
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        blocks = rng.integers(0, 255, (15, 20, 3), np.uint8)
        still = np.kron(blocks, np.ones((8, 8, 1), np.uint8))
        for index in range(100):
            frame = av.VideoFrame.from_ndarray(np.roll(still, 3 * index, 1), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    data = bytearray(file.getvalue())
    with av.open(io.BytesIO(bytes(data))) as container:
        packets = [(p.pts, p.pos, p.size) for p in container.demux(video=0) if p.size]
    # Frames that others build on which are shown before them.
    ahead = [n for n in range(12, 99) if packets[n][0] > packets[n + 1][0]]
    for number in (ahead[1], ahead[len(ahead) // 2], ahead[-1]):
        _, at, size = packets[number]
        data[at + size // 4 : at + size // 4 + 8] = rng.bytes(8)
    return bytes(data)


def one_thread(data: bytes) -> tuple[list[np.ndarray], int]:
    """All frames as one thread decodes them, and how many of them are marked corrupt."""
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        frames = list(container.decode(stream))
        return [f.to_rgb().to_ndarray() for f in frames], sum(f.is_corrupt for f in frames)


@pytest.mark.parametrize("seed", range(3))
def test_damaged_pixels_are_counted_and_the_same_each_time(seed):
    data = noisy(seed)
    expected, corrupt = one_thread(data)
    assert corrupt
    for allow_broken in (False, True, False):
        with open_video(data, allow_broken=allow_broken) as video:
            found = list(video.frames(range(100)))
            assert [place for place, _ in found] == list(range(100))
            assert all(np.array_equal(frame, expected[place]) for place, frame in found)
            assert video.notes[-1].startswith(f"{corrupt} frame")
            assert video.notes[-1].endswith(CORRUPT)


def test_damaged_pixels_of_frames_that_nobody_wants_are_not_counted():
    with open_video(noisy()) as video:
        assert len(list(video.frames([0, 2]))) == 2
        assert video.notes == ()


def test_damaged_pixels_are_in_the_notes_of_an_evaluation(tmp_path):
    (tmp_path / "noisy.mp4").write_bytes(noisy())
    item = entry("x3d_xs")
    listed = Item("noisy", str(tmp_path / "noisy.mp4"), (0,))
    views = ProtocolViews(item.input, item.protocol, as_reference=True)
    *_, end = decode(listed, Reading(views))
    assert end.notes[-1].endswith(CORRUPT)
    failure, notes = fault(listed, item.input, None, "ends")
    assert failure is None
    assert notes[-1].endswith(CORRUPT)
