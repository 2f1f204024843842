"""Dense features against a slow way of its own: all frames decoded, plain torch, the model's hook.

Videos of every common rate are drawn here; what is compared is the input of the model, bit by bit,
and what is taken of it.
"""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from torch.nn import functional

import ptv_hub
from ptv_hub.errors import MissingExtra, UnknownName, UsageError
from ptv_hub.inference.feature_files import FileKind, save_features
from ptv_hub.inference.features import Features, features
from ptv_hub.inference.outputs import channels_of
from ptv_hub.zoo.manifest import entries

RATES = {
    "24": Fraction(24),
    "25": Fraction(25),
    "ntsc": Fraction(30000, 1001),
    "30": Fraction(30),
    "60": Fraction(60),
    "variable": None,
}


def draw_video(path, rate: Fraction | None, seconds: float, size=(96, 64)) -> None:
    """A moving gradient; of a variable rate gaps of 20 to 90 ms."""
    rng = np.random.default_rng(3)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate or 30)
        stream.width, stream.height = size
        stream.codec_context.time_base = 1 / rate if rate else Fraction(1, 1000)
        times, now = [], 0
        while now * stream.codec_context.time_base < seconds:
            times.append(now)
            now += 1 if rate else int(rng.integers(20, 90))
        for number, at in enumerate(times):
            ramp = np.add.outer(np.arange(size[1]), np.arange(size[0])) + 3 * number
            pixels = np.stack([ramp % 256, (2 * ramp) % 256, (ramp // 2) % 256], -1)
            frame = av.VideoFrame.from_ndarray(pixels.astype(np.uint8), format="rgb24")
            frame.pts = at
            frame.time_base = stream.codec_context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rates")
    for name, rate in RATES.items():
        draw_video(folder / f"{name}.mp4", rate, 2.6)
    return folder


def decoded(path) -> tuple[np.ndarray, list[Fraction], Fraction]:
    """All frames, when each is shown, and when the last one ends."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = sorted(container.decode(stream), key=lambda frame: frame.pts)
        start = stream.start_time or 0
        times = [(frame.pts - start) * stream.time_base for frame in frames]
        end = (stream.duration - start) * stream.time_base
        return np.stack([frame.to_rgb().to_ndarray() for frame in frames]), times, end


def slow_inputs(path, spec, length: Fraction, stride: Fraction, fps=None) -> list[torch.Tensor]:
    """Of each window (3, T, S, S): frames by index, each step of the transform on all of a clip."""
    pixels, times, end = decoded(path)
    assert end > times[-1]
    if fps is not None:
        count = int(end * fps + Fraction(1, 2))
        ticks = [int((time - times[0]) * fps + Fraction(1, 2)) for time in times]
        shown = [max(i for i, tick in enumerate(ticks) if tick <= at) for at in range(count)]
        pixels, times, end = (
            pixels[shown],
            [Fraction(i) / fps for i in range(count)],
            Fraction(count) / fps,
        )
    starts = [Fraction(0)]
    while starts[-1] + stride + length <= end:
        starts.append(starts[-1] + stride)
    if starts[-1] + length < end - Fraction(1, 10**6):
        starts.append(end - length)
    found = []
    for start in starts:
        inside = [i for i, time in enumerate(times) if start <= time < start + length]
        taken = torch.linspace(0, len(inside) - 1, spec.num_frames).long()
        clip = torch.from_numpy(pixels[[inside[i] for i in taken]]).permute(3, 0, 1, 2)
        clip = clip.float() / 255.0
        mean, std = (torch.tensor(v)[:, None, None, None] for v in (spec.mean, spec.std))
        clip = (clip - mean) / std
        height, width = clip.shape[2:]
        short = spec.short_side
        size = (short, int(width / height * short)) if width >= height else None
        assert size is not None
        scaled = torch.stack(
            [
                functional.interpolate(
                    channel[:, None], size=size, mode="bilinear", align_corners=False
                )[:, 0]
                for channel in clip
            ]
        )
        top = -(-(size[0] - spec.crop_size) // 2)
        left = -(-(size[1] - spec.crop_size) // 2)
        side = spec.crop_size
        found.append(scaled[:, :, top : top + side, left : left + side].contiguous())
    return found


def seen_by(model, call) -> tuple[Features, list[torch.Tensor]]:
    """What ``call`` returns, and every input that the model's first block gets in it."""
    seen: list[torch.Tensor] = []

    def keep(_, inputs) -> None:
        fast = inputs[0] if isinstance(inputs[0], torch.Tensor) else inputs[0][1]
        seen.extend(fast.clone().unbind(0))

    handle = model.blocks[0].register_forward_pre_hook(keep)
    try:
        return call(), seen
    finally:
        handle.remove()


def slow_vectors(model, views: list[torch.Tensor]) -> torch.Tensor:
    """The classifier's input for each view, by a hook of its own, a view at a time."""
    kept: list[torch.Tensor] = []
    proj = model.blocks[-1].proj
    handle = proj.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
    alpha = model.entry.input.slowfast_alpha
    with torch.inference_mode():
        for view in views:
            if alpha is None:
                model(view[None])
            else:
                slow = view[:, torch.linspace(0, view.shape[1] - 1, view.shape[1] // alpha).long()]
                model([slow[None], view[None]])
    handle.remove()
    return torch.cat(kept).flatten(1, -2).mean(dim=1)


@pytest.fixture(scope="module")
def x3d(drawn):
    return ptv_hub.load("x3d_xs", weights=drawn("x3d_xs", training=False))


@pytest.mark.parametrize("fps", [None, 30])
@pytest.mark.parametrize("rate", RATES)
def test_windows_of_every_rate_are_those_of_the_slow_way(x3d, videos, rate, fps):
    path = videos / f"{rate}.mp4"
    found, seen = seen_by(
        x3d, lambda: features(x3d, path, window=32, stride=16, fps=fps, batch_views=2)
    )
    expected = slow_inputs(path, x3d.entry.input, Fraction(32, 30), Fraction(16, 30), fps)
    assert len(seen) == len(expected) == len(found.values)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(seen, expected, strict=True))
    difference = (found.values - slow_vectors(x3d, expected)).abs().max()
    assert difference <= 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("name", ["slowfast_r50", "slow_r50", "x3d_m"])
def test_larger_models_windows_are_those_of_the_slow_way(drawn, videos, name):
    model = ptv_hub.load(name, weights=drawn(name, training=False))
    length = Fraction(13, 10)  # two of them, the last one moved back or not
    for rate in RATES:
        path = videos / f"{rate}.mp4"
        take = ("embedding", "slow", "fast") if name.startswith("slowfast") else ("embedding",)
        found, seen = seen_by(
            model, lambda path=path, take=take: features(model, path, every="1.3s", take=take)
        )
        expected = slow_inputs(path, model.entry.input, length, length)
        assert len(expected) == len(found.frames) >= 2
        # What is moved back over the same frames goes through the model once.
        once = dict(zip(found.frames, expected, strict=True)).values()
        assert all(torch.equal(mine, theirs) for mine, theirs in zip(seen, once, strict=True))
        vectors = slow_vectors(model, expected)
        assert (found.values - vectors).abs().max() <= 1e-6
        if len(take) > 1:
            assert torch.equal(found.outputs["slow"], found.values[:, :2048])
            assert torch.equal(found.outputs["fast"], found.values[:, 2048:])


def test_all_outputs_come_from_one_pass(x3d, videos):
    names = ("embedding", "logits", "scores", "stage3", "stage3:maps", "stem")
    found, seen = seen_by(
        x3d, lambda: features(x3d, videos / "30.mp4", window="1s", take=names, crops=3)
    )
    assert len(seen) == 3 * len(found.start) == 9
    shapes = {name: tuple(values.shape) for name, values in found.outputs.items()}
    assert shapes == {
        "embedding": (3, 2048),
        "logits": (3, 400),
        "scores": (3, 400),
        "stage3": (3, 96),
        "stage3:maps": (3, 3, 96, 4, 12, 12),
        "stem": (3, 24),
    }
    proj = x3d.blocks[-1].proj
    with torch.inference_mode():
        assert torch.allclose(proj(found.values), found.outputs["logits"], atol=1e-5)
        stack = torch.stack(seen)
        activated = ptv_hub.load("x3d_xs", pretrained=False, activation="softmax")
        activated.load_state_dict(x3d.state_dict())
        scores = activated.eval()(stack).reshape(3, 3, 400).mean(1)
    assert torch.allclose(found.outputs["scores"], scores, atol=1e-6)
    maps = found.outputs["stage3:maps"].mean(dim=(1, 3, 4, 5))
    assert torch.allclose(found.outputs["stage3"], maps, atol=1e-6)
    for wrong, error in ((("slow",), UsageError), (("stage9",), UnknownName)):
        with pytest.raises(error):
            features(x3d, videos / "30.mp4", window=30, take=wrong)


def test_a_whole_frame_is_pooled_over_all_of_it(x3d, videos):
    found, seen = seen_by(x3d, lambda: features(x3d, videos / "24.mp4", window="2s", crops=0))
    side = x3d.entry.input.short_side
    assert {tuple(view.shape) for view in seen} == {(3, 4, side, side * 3 // 2)}
    assert (found.values - slow_vectors(x3d, seen)).abs().max() <= 1e-6


def test_overlapping_windows_decode_and_resize_each_frame_once(x3d, videos, monkeypatch):
    from ptv_hub.inference import clips

    resized: list[int] = []
    own = clips.prepare
    monkeypatch.setattr(clips, "prepare", lambda *a, **k: resized.append(1) or own(*a, **k))
    found = features(x3d, videos / "30.mp4", window=32, stride=4)
    assert len(found.start) == 13
    assert len(resized) == len({frame for frames in found.frames for frame in frames})


def test_times_and_frames(x3d, videos):
    found = features(x3d, videos / "25.mp4", window=32, stride=16)
    assert found.start[1] == pytest.approx(16 / 30)
    assert found.centre[0] == pytest.approx(16 / 30)
    assert (found.rate, found.views) == (30.0, "window 32, stride 16, 1 crops")
    assert found.end[-1] == pytest.approx(found.duration)
    assert len(found.frames) == len(found.start)
    with pytest.raises(UsageError, match="not both"):
        features(x3d, videos / "25.mp4", window=32, views="1x1")
    short = features(x3d, videos / "25.mp4", window="9s", last="drop")
    assert tuple(short.values.shape) == (0, 2048)
    assert short.notes[-1] == "shorter than one window (9.000 s): no row"


@pytest.mark.parametrize("item", entries(), ids=lambda item: item.name)
def test_the_width_of_every_output_is_known_before(item):
    width = channels_of(item, "embedding")
    assert width == (2304 if item.input.num_pathways == 2 else 2048)
    assert channels_of(item, "scores") == item.num_classes


def example(**outputs) -> Features:
    return Features(
        video="a.mp4",
        model="x3d_xs",
        outputs=outputs or {"embedding": torch.arange(6.0).reshape(2, 3)},
        start=(0.0, 16 / 30),
        end=(32 / 30, 48 / 30),
        frames=((0, 1), (16, 17)),
        rate=30.0,
        views="window 32",
        duration=1.6,
        notes=(),
    )


def test_formats(tmp_path, monkeypatch):
    several = example(embedding=torch.ones(2, 3), **{"stage3:maps": torch.ones(2, 1, 2, 1, 1, 1)})
    save_features(several, tmp_path / "a.npz", dtype="fp16", key="feats")
    with np.load(tmp_path / "a.npz") as file:
        assert file["feats"].dtype == np.float16
        assert file["stage3_maps"].shape == (2, 1, 2, 1, 1, 1)
        assert file["start_frame"].tolist() == [0, 16]
        assert file["centre_frame"].tolist() == [16, 32]
        assert file["frames"].tolist() == [[0, 1], [16, 17]]
    save_features(example(), tmp_path / "a.npy")
    assert np.load(tmp_path / "a.npy").tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(UsageError, match="one output"):
        save_features(several, tmp_path / "b.npy")
    with pytest.raises(UsageError, match="no such type"):
        save_features(example(), tmp_path / "a.npz", dtype="int8")  # type: ignore[arg-type]
    huge = example(embedding=torch.full((2, 3), 1e6))
    with pytest.raises(ptv_hub.PtvHubError, match="too large for fp16"):
        save_features(huge, tmp_path / "h.npz", dtype="fp16")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npy", "a.npz"]
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match="parquet"):
        FileKind("parquet").check()


def test_a_parquet_data_set(tmp_path):
    import pyarrow.dataset as dataset

    for number, name in enumerate(("a", "b/c")):
        path = tmp_path / f"{name}.parquet"
        path.parent.mkdir(exist_ok=True)
        values = torch.full((2, 3), float(number))
        one = dataclasses.replace(example(embedding=values), video=name)
        save_features(one, path, dtype="fp16" if number else "fp32")
    (tmp_path / "_journal").mkdir()
    (tmp_path / "_journal" / "rank-0.sqlite").write_bytes(b"no parquet")
    table = dataset.dataset(tmp_path / "a.parquet").to_table()
    assert table.column_names == [
        *("video", "window", "start", "end", "centre"),
        *("start_frame", "end_frame", "centre_frame", "features"),
    ]
    assert table["features"].to_pylist() == [[0.0] * 3] * 2
    whole = dataset.dataset(tmp_path, format="parquet")
    assert len(whole.files) == 2
    assert sorted(whole.to_table(columns=["video"])["video"].to_pylist()) == [
        "a",
        "a",
        "b/c",
        "b/c",
    ]
