"""A video with its labels: what is said at which second, and all else as it was."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

import ptv_hub
from ptv_hub.datasets import motion
from ptv_hub.errors import UsageError, WriteError
from ptv_hub.inference.annotated import _Drawing, annotate
from ptv_hub.inference.overlay import _fitting, _font, lay, panel
from ptv_hub.inference.predict import ClassScore
from ptv_hub.inference.sliding import AtTime, Seen, sliding_windows
from ptv_hub.inference.video import open_video
from tests.command import ptv_hub as command

PLAN = ("left", "out")
HEIGHT, WIDTH = 3 * motion.HEIGHT, 3 * motion.WIDTH
TICK = Fraction(1, 1000)


@pytest.fixture(scope="module")
def model():
    return ptv_hub.load("motion_x3d")


@pytest.fixture(scope="module")
def frames():
    drawn = motion.draw(PLAN, motion.Dice(4), frames=45, ease=0.5)
    return drawn.repeat(3, axis=1).repeat(3, axis=2)


def write(path, frames, *, ticks=None, sound=None, codec="libx264", turned=0, first=0, kind=None):
    """A video with a click of sound at the beginning of each second."""
    ticks = ticks or [round(index / motion.RATE / TICK) for index in range(len(frames))]
    with av.open(str(path), "w", format=kind) as container:
        stream = container.add_stream(codec, rate=motion.RATE)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv444p" if frames.shape[1] % 2 else "yuv420p"
        stream.codec_context.time_base, stream.codec_context.max_b_frames = TICK, 0
        if turned:
            stream.set_display_rotation(turned)
        heard = sound and container.add_stream(sound, rate=48000)
        clicks = np.arange(1024 * 47 * (1 + ticks[-1] // 1000)) % 48000 < 4800
        wave = (clicks * np.sin(np.arange(len(clicks)) * 0.06)).astype(np.float32)
        for pixels, tick in zip(frames, ticks, strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = tick + first, TICK
            container.mux(stream.encode(frame))
        for at in range(0, len(wave), 1024) if sound else ():
            piece = av.AudioFrame.from_ndarray(wave[None, at : at + 1024], "fltp", "mono")
            piece.sample_rate, piece.time_base = 48000, Fraction(1, 48000)
            piece.pts = at + 48 * first
            container.mux(heard.encode(piece))
        for one in (stream, heard) if sound else (stream,):
            container.mux(one.encode(None))
    return path


def seen(path) -> list[tuple[float, av.VideoFrame]]:
    with av.open(str(path)) as container:
        return [(frame.time, frame) for frame in container.decode(video=0)]


def clicks(path) -> list[float]:
    """Seconds at which sound begins after silence."""
    found, quiet = [], True
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            values = frame.to_ndarray().astype(np.float64)
            loud = np.abs(values).max() > (0.3 if frame.format.name.startswith("flt") else 9000)
            if loud and quiet:
                found.append(frame.time)
            quiet = not loud
    return found


def test_each_second_shows_its_own_label_and_frames_and_sound_stay(model, frames, tmp_path):
    source = write(tmp_path / "a.mp4", frames, sound="aac")
    done = annotate(model, source, tmp_path / "b.mp4", stride="0.5s", top_k=2)
    for part, label in enumerate(PLAN):
        within = [w for w in done.windows if 3 * part <= w.start and w.end <= 3 * part + 3]
        assert len(within) >= 3
        assert sum(w.predictions[0].label == label for w in within) > len(within) / 2
    before, after = seen(source), seen(tmp_path / "b.mp4")
    assert done.frames == len(before) == len(after) == 90
    assert [t for t, _ in after] == pytest.approx([t for t, _ in before], abs=1e-3)
    assert clicks(tmp_path / "b.mp4") == pytest.approx(clicks(source), abs=1e-3)
    assert done.notes == ()
    a, b = (np.stack([f.to_ndarray(format="rgb24") for _, f in s]) for s in (before, after))
    assert a.shape == b.shape == (90, HEIGHT, WIDTH, 3)
    top, bottom = slice(0, HEIGHT // 2 - 8), slice(HEIGHT // 2 + 8, HEIGHT - 8)
    difference = np.abs(a.astype(int) - b)
    assert difference[:, top].mean() < 2.5  # encoded anew, and nothing drawn there
    assert difference[:, bottom, 10:100].mean() > 20  # the panel


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("varied.mkv", {"sound": "aac"}, []),
        ("late-aac.ts", {"sound": "aac", "first": 10_000, "kind": "mpegts"}, []),
        ("pcm.mkv", {"sound": "pcm_s16le"}, ["the sound, pcm_s16le, is encoded anew as AAC"]),
        ("opus.webm", {"sound": "libopus", "codec": "libvpx-vp9"}, []),
        ("late.ts", {"sound": "mp2", "first": 10_000, "kind": "mpegts"}, ["the sound, mp2,"]),
        ("silent.mkv", {}, []),
    ],
)
def test_times_that_vary_and_sound_of_any_kind(model, frames, tmp_path, name, options, told):
    gaps = [20 + 37 * index % 90 for index in range(44)]
    ticks = [0, *np.cumsum(gaps).tolist()]
    source = write(tmp_path / name, frames[:45], ticks=ticks, **options)
    done = annotate(model, source, tmp_path / "b.mp4")
    before, after = ([time for time, _ in seen(p)] for p in (source, tmp_path / "b.mp4"))
    assert after == pytest.approx([time - before[0] for time in before], abs=2e-3)
    assert len(done.notes) == len(told)
    assert all(any(note.startswith(word) for note in done.notes) for word in told)
    if "sound" in options:
        wanted = [click - before[0] for click in clicks(source)]
        assert clicks(tmp_path / "b.mp4") == pytest.approx(wanted, abs=0.025)
    else:
        with av.open(str(tmp_path / "b.mp4")) as container:
            assert not container.streams.audio


def test_what_a_player_turns_is_turned_and_labels_stand_upright(model, frames, tmp_path):
    pixels = frames[:30].copy()
    pixels[:, :20, -20:] = 255  # the corner at the top right
    if not hasattr(av.video.stream.VideoStream, "set_display_rotation"):
        pytest.skip("this PyAV writes no rotation")
    source = write(tmp_path / "a.mp4", pixels, turned=90)  # counterclockwise: to the top left
    done = annotate(model, source, tmp_path / "b.mp4")
    _, frame = seen(tmp_path / "b.mp4")[0]
    shown = frame.to_ndarray(format="rgb24").astype(int)
    assert shown.shape == (WIDTH, HEIGHT, 3)
    assert frame.rotation == 0
    assert shown[2:16, 2:16].mean() > 240 > shown[2:16, -16:-2].mean()
    assert shown[WIDTH // 2 + 8 :].mean() < shown[WIDTH // 4 : WIDTH // 2 - 8].mean() - 20
    assert done.notes == ()


def test_of_several_labels_all_that_reach_the_threshold_are_shown(frames, tmp_path):
    """As Charades' models say: of a window no label or more than the usual five."""
    several = ptv_hub.load("motion_x3d")
    sigmoid = several.entry.protocol.model_copy(update={"activation": "sigmoid"})
    several.entry = several.entry.model_copy(update={"protocol": sigmoid})
    source = write(tmp_path / "a.mp4", frames)
    every = annotate(several, source, tmp_path / "every.mp4", stride="0.5s", threshold=0.0)
    assert {len(window.predictions) for window in every.windows} == {6}
    assert every.notes == (f"frames of {WIDTH} x {HEIGHT} have room for 3 labels of a window",)
    best = sorted(window.predictions[0].score for window in every.windows)
    cut = best[1]  # of one window no label reaches it
    some = annotate(several, source, tmp_path / "some.mp4", stride="0.5s", threshold=cut)
    counts = [len(window.predictions) for window in some.windows]
    assert min(counts) == 0
    assert max(counts) > 1
    for window, whole in zip(some.windows, every.windows, strict=True):
        assert window.predictions == tuple(one for one in whole.predictions if one.score >= cut)
    bare = counts.index(0)
    at = (some.windows[bare].start + some.windows[bare].end) / 2
    pixels = {round(time, 2): frame for time, frame in seen(tmp_path / "some.mp4")}
    nearest = min(pixels, key=lambda time: abs(time - at))
    shown = pixels[nearest].to_ndarray(format="rgb24").astype(int)
    assert np.abs(shown - frames[round(nearest * motion.RATE)]).mean() < 4  # H.264 alone


def test_odd_sizes_become_even_and_small_frames_stay_bare(model, frames, tmp_path):
    odd = write(tmp_path / "a.mkv", frames[:30, :119, :167])
    done = annotate(model, odd, tmp_path / "b.mp4")
    assert seen(tmp_path / "b.mp4")[0][1].width == 168
    assert "167 x 119 became 168 x 120" in done.notes
    tiny = annotate(model, frames[:30, ::6, ::6], tmp_path / "c.mp4", fps=15)
    assert tiny.frames == 30
    assert tiny.notes[-1] == "frames of 28 x 20 have no room for labels"


def test_a_small_gif(model, frames, tmp_path):
    large = frames.repeat(3, axis=1).repeat(3, axis=2)
    done = annotate(model, large, tmp_path / "a.gif", fps=15)
    with Image.open(tmp_path / "a.gif") as gif:
        assert (gif.width, gif.height) == (320, round(320 * HEIGHT / WIDTH))
        assert gif.n_frames == done.frames == 30
        shown = 0
        for index in range(gif.n_frames):
            gif.seek(index)
            shown += gif.info["duration"]
        assert shown == 6000
        red, _, blue = np.asarray(gif.convert("RGB")).astype(int).transpose(2, 0, 1)
    assert (blue - red > 100).sum() > 50  # the best class's bar, among few colours
    assert done.notes == ()


def test_of_a_long_video_a_gif_has_fewer_frames_a_second(model, tmp_path):
    still = np.full((1000, 40, 56, 3), 120, np.uint8)
    done = annotate(model, still, tmp_path / "a.gif", fps=10, stride="50s")
    assert 140 < done.frames <= 151
    assert done.notes == (
        "frames of 56 x 40 have no room for labels",
        "1.5 frames a second, as the video is long",
    )


def test_a_file_is_written_whole_or_not_at_all(model, frames, tmp_path, monkeypatch):
    source = write(tmp_path / "a.mp4", frames[:30])
    target = tmp_path / "b.mp4"
    annotate(model, source, target)
    whole = target.read_bytes()
    with pytest.raises(WriteError, match="there is such a file"):
        annotate(model, source, target)
    with pytest.raises(WriteError, match="its own source"):
        annotate(model, source, source, overwrite=True)
    with pytest.raises(UsageError, match="another kind"):
        annotate(model, source, tmp_path / "b.avi")
    left = iter(range(25))  # then StopIteration, or rather what comes of it
    monkeypatch.setattr("ptv_hub.inference.annotated.lay", lambda frame, _: 0 * next(left) + frame)
    with pytest.raises(RuntimeError, match="StopIteration"):
        annotate(model, source, target, overwrite=True)
    assert target.read_bytes() == whole
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]


def test_a_frame_shows_the_window_whose_middle_is_nearest():
    windows = [Seen(start=s, end=s + 2, predictions=()) for s in (0, 1, 4)]
    at = AtTime(windows)
    assert [at(second) for second in (0, 1.4, 1.6, 3.4, 3.6, 99)] == [0, 0, 1, 1, 2, 2]


def test_a_frame_shows_its_own_windows_panel(frames):
    said = [
        (ClassScore(label=label, index=0, score=score),) for label, score in (("a", 0.1), ("b", 1))
    ]
    windows = [Seen(start=at, end=at + 1, predictions=one) for at, one in enumerate(said)]
    with open_video(frames[:1], fps=15) as video:
        draw = _Drawing(video, windows)
    shown = [draw(frames[0], second) for second in (0.2, 1.2)]
    for frame, predictions in zip(shown, said, strict=True):
        assert (frame == lay(frames[0], panel(predictions, WIDTH, HEIGHT))).all()
    assert (shown[0] != shown[1]).any()


def test_windows_that_nobody_asked_for(model):
    assert sliding_windows(model.entry.input).stride == "8/15s"  # clips of 16 frames at 15 a second
    whole = sliding_windows(ptv_hub.entry("slow_r50_ssv2").input)
    assert (whole.window, whole.stride) == ("4s", "2/1s")
    assert sliding_windows(model.entry.input, window=9).stride == "4"


def test_bars_are_as_long_as_scores_and_labels_fit():
    long = ClassScore(label="pretending to " * 20, index=0, score=0.5)
    said = [long, ClassScore(label="\x1bother", index=1, score=1.0)]
    over = panel(said, 640, 360)
    assert over is not None
    rows, columns = over.cover.shape[:2]
    assert over.left + columns <= 640
    assert over.top + rows <= 360
    blue = (np.abs(over.colours.astype(int) - (86, 180, 233)).sum(axis=2) < 30).any(axis=0)
    grey = (np.abs(over.colours.astype(int) - (178, 188, 198)).sum(axis=2) < 30).any(axis=0)
    assert np.ptp(np.flatnonzero(blue)) == pytest.approx(np.ptp(np.flatnonzero(grey)) / 2, rel=0.03)
    ground = np.full((360, 640, 3), 99, np.uint8)
    laid = lay(ground, over)
    assert (ground == 99).all()
    assert (laid[: over.top] == 99).all()
    assert (laid[over.top + rows // 2, over.left + 5] != 99).any()


def test_a_label_is_cut_where_there_is_no_room():
    font = _font(20)
    assert _fitting("left", font, 100) == "left"
    cut = _fitting("pretending to be", font, 100)
    assert cut.startswith("pret")
    assert cut.endswith("...")
    assert font.getlength(cut) <= 100 < font.getlength("pretending to be")


def test_beside_the_labels_on_the_command_line(frames, tmp_path):
    source = write(tmp_path / "a.mp4", frames, sound="aac")
    words = ("predict", "motion_x3d", source, "--annotate", tmp_path / "b.mp4", "--stride", "1s")
    done = command(*words)
    assert done.code == 0, done.err
    assert "label" in done.out
    assert f"wrote {tmp_path / 'b.mp4'}" in done.err
    assert len(seen(tmp_path / "b.mp4")) == 90
    again = command(*words)
    assert again.code == 1
    assert "--overwrite" in again.err
    assert command(*words, "--overwrite", "--backend", "torch").code == 0
    assert command(*words[:3], "--stride", "1s").code == 2
    assert command(*words[:3], source, *words[3:], "--overwrite").code == 2
