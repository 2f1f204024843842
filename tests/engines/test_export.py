"""Exported files, each run by its own engine and compared with the model.

The small trained model is exported to ONNX in every run; ``make test-slow`` (or ``pytest -m slow
tests/engines/test_export.py``) walks all 18, and an MViT, through all three formats, which takes
the better part of an hour on 2 cores.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import ptv_hub
from ptv_hub.engines import export_formats as formats
from ptv_hub.engines.export import export
from ptv_hub.engines.export_formats import FORMATS, METADATA_FILE
from ptv_hub.engines.export_graph import Graph, Options, trace, traceable
from ptv_hub.errors import ExportError, MissingExtra, UnknownName, UsageError, WriteError
from ptv_hub.models.builders import VideoModel
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.input_spec import InputSpec
from tests.command import ptv_hub as ptv_hub_command
from tools import draw

SUFFIX = {name: item.suffix for name, item in FORMATS.items()}


def loaded(drawn, name: str) -> VideoModel:
    return ptv_hub.load(name, weights=drawn(name, training=False))


def frames_of(item: Entry, batch: int) -> np.ndarray:
    spec = item.input
    shape = (batch, spec.num_frames, spec.crop_size, spec.crop_size, 3)
    return np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)


def scores(model, clip: torch.Tensor) -> torch.Tensor:
    model.activation = model.entry.protocol.activation
    with torch.inference_mode():
        return model(clip)


# ---------------------------------------------------------------------------- parity


@pytest.mark.parametrize(
    ("name", "batch"),
    # The larger ones with one view at once: half the work, the same operations.
    [
        ("motion_x3d", None),
        *(
            pytest.param(name, 1, marks=pytest.mark.slow)
            for name in ("x3d_xs", "slowfast_4x16_r50", "csn_r101", "r2plus1d_r50")
        ),
    ],
)
def test_onnx_gives_the_models_scores(drawn, tmp_path, name, batch):
    import onnxruntime

    model = loaded(drawn, name)
    done = export(model, tmp_path / "m.onnx", to="onnx", options=Options(batch=batch))
    assert done.max_difference <= done.tolerance == 1e-4
    assert done.files == (str(tmp_path / "m.onnx"),)
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]
    # Once more, with another input than export looked at, and without anything of ptv_hub.
    clip = draw.clip(model.entry.input.num_frames, model.entry.input.crop_size, seed=3)
    found = onnxruntime.InferenceSession(done.files[0]).run(["scores"], {"clip": clip.numpy()})[0]
    np.testing.assert_allclose(found, scores(model, clip).numpy(), atol=1e-5, rtol=0)


@pytest.mark.slow  # every run exports the small trained model
@pytest.mark.parametrize("to", ["torch-export", "openvino"])
def test_the_other_formats_give_the_models_scores(drawn, tmp_path, to):
    model = loaded(drawn, "x3d_xs")
    done = export(model, tmp_path / f"m{SUFFIX[to]}", to=to)
    assert done.max_difference <= done.tolerance == 1e-4
    names = {Path(file).name for file in done.files}
    assert {p.name for p in tmp_path.iterdir()} == names
    assert names == ({"m.xml", "m.bin"} if to == "openvino" else {"m.pt2"})
    assert done.size < 1.2 * sum(t.nbytes for t in model.state_dict().values())  # no clips in it
    clip = torch.cat([draw.clip(4, 182, seed=seed) for seed in (3, 4, 5)])
    found = FORMATS[to].open(Path(done.files[0]))((clip,))
    torch.testing.assert_close(found, scores(model, clip), atol=1e-5, rtol=0)
    assert json.loads(metadata(to, Path(done.files[0]))["labels"]) == list(model.entry.labels)


@pytest.mark.slow
@pytest.mark.parametrize("to", list(FORMATS))
@pytest.mark.parametrize("name", [*ptv_hub.list_models(), "mvit_base_16x4"])
def test_every_model_gives_its_scores_in_every_format(drawn, tmp_path, name, to):
    model = loaded(drawn, name)
    done = export(model, tmp_path / f"m{SUFFIX[to]}", to=to)
    assert done.max_difference <= done.tolerance == 1e-4
    assert done.digest == ptv_hub.digest(model.state_dict())


@pytest.mark.slow
@pytest.mark.parametrize("to", list(FORMATS))
@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
@pytest.mark.parametrize("name", ["x3d_xs", "slowfast_4x16_r50"])
def test_half_the_precision_stays_near(drawn, tmp_path, name, dtype, to):
    model = loaded(drawn, name)
    out = tmp_path / f"m{SUFFIX[to]}"
    done = export(model, out, to=to, options=Options(dtype=dtype))
    assert 0 < done.max_difference <= done.tolerance == 1e-2
    assert done.size < 0.85 * sum(t.nbytes for t in model.state_dict().values())


@pytest.mark.slow
@pytest.mark.parametrize("to", list(FORMATS))
def test_pathways_may_be_inputs_of_their_own(drawn, tmp_path, to):
    model = loaded(drawn, "slowfast_4x16_r50")
    out = tmp_path / f"m{SUFFIX[to]}"
    done = export(model, out, to=to, options=Options(pathways="separate", batch=1))
    assert done.inputs == {"slow": (1, 3, 4, 256, 256), "fast": (1, 3, 32, 256, 256)}


def test_frames_of_uint8_go_in_with_preprocessing(tmp_path):
    import onnxruntime

    model = ptv_hub.load("motion_x3d")
    options = Options(with_preprocessing=True, output="logits", batch=2)
    done = export(model, tmp_path / "m.onnx", to="onnx", options=options)
    spec = model.entry.input
    assert done.inputs == {"frames": (2, spec.num_frames, spec.crop_size, spec.crop_size, 3)}
    frames = frames_of(model.entry, 2)
    session = onnxruntime.InferenceSession(done.files[0])
    found = session.run(["logits"], {"frames": frames})[0]
    # The frames are at crop size already: the transform resizes nothing.
    clip = torch.stack([_normalised(model.entry.input, view) for view in frames])
    with torch.inference_mode():
        wanted = model(clip).numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max(), rtol=0)
    assert metadata("onnx", Path(done.files[0]))["takes"] == "frames of uint8"


def _normalised(spec: InputSpec, frames: np.ndarray) -> torch.Tensor:
    same_size = spec.model_copy(update={"short_side": spec.crop_size})
    return ptv_hub.transform(same_size)(frames)


# ---------------------------------------------------------------------------- what it says


def metadata(to: str, path: Path) -> dict[str, str]:
    """What a file says of itself, read with its own engine."""
    if to == "onnx":
        import onnx

        props = onnx.load(path).metadata_props
        return {p.key.removeprefix("ptv_hub."): p.value for p in props}
    if to == "torch-export":
        extra = {METADATA_FILE: ""}
        torch.export.load(path, extra_files=extra)
        return json.loads(extra[METADATA_FILE])
    import openvino

    found = openvino.Core().read_model(path).get_rt_info("ptv_hub")
    return {key: value.astype(str) for key, value in found.astype(dict).items()}


def test_a_traceable_copy_shares_its_tensors_and_gives_the_same(drawn):
    model = loaded(drawn, "x3d_xs")
    before = {name: type(module) for name, module in model.named_modules()}
    copy = traceable(model)
    assert not any(type(m).__name__ == "Swish" for m in copy.modules())
    assert {name: type(module) for name, module in model.named_modules()} == before
    pairs = zip(model.parameters(), copy.parameters(), strict=True)
    assert all(mine is other for mine, other in pairs)
    clip = draw.clip(4, 182)
    with torch.inference_mode():
        torch.testing.assert_close(copy(clip), model(clip), atol=1e-5, rtol=0)
    half = traceable(model, dtype=torch.float16)
    assert next(half.parameters()).dtype is torch.float16
    assert next(model.parameters()).dtype is torch.float32


# ---------------------------------------------------------------------------- refusals


def test_other_scores_are_an_error_and_no_file_is_left(tmp_path, monkeypatch):
    model, other = ptv_hub.load("motion_x3d"), ptv_hub.load("motion_x3d")
    real = formats.FORMATS["torch-export"]

    def write_another(graph, program, told, path):
        with torch.no_grad():
            other.blocks[-1].proj.bias += torch.arange(6.0)
        real.write(graph, trace(Graph(other, graph.options)), told, path)

    wrong = dataclasses.replace(real, write=write_another)
    monkeypatch.setitem(formats.FORMATS, "torch-export", wrong)
    (tmp_path / "m.pt2").write_text("what stood there before")
    with pytest.raises(ExportError, match="gives other scores") as caught:
        export(
            model, tmp_path / "m.pt2", to="torch-export", options=Options(batch=1), overwrite=True
        )
    assert float(caught.value.found) > 1e-4
    assert [p.name for p in tmp_path.iterdir()] == ["m.pt2"]
    assert (tmp_path / "m.pt2").read_text() == "what stood there before"


def test_an_engine_that_breaks_is_an_error_and_no_file_is_left(drawn, tmp_path, monkeypatch):
    def breaks(graph, program, told, path):
        path.write_bytes(b"half a file")
        raise RuntimeError("no kernel for it\nand a long trace")

    broken = dataclasses.replace(formats.FORMATS["torch-export"], write=breaks)
    monkeypatch.setitem(formats.FORMATS, "torch-export", broken)
    model = loaded(drawn, "x3d_xs")
    with pytest.raises(ExportError, match="could not be exported") as caught:
        export(model, tmp_path / "m.pt2", to="torch-export", options=Options(batch=1))
    assert caught.value.found == "RuntimeError: no kernel for it"
    assert not list(tmp_path.iterdir())


def test_misuse_is_said_before_any_work(drawn, tmp_path, monkeypatch):
    model = loaded(drawn, "x3d_xs")
    monkeypatch.setattr("ptv_hub.engines.export.trace", lambda _: pytest.fail("traced"))
    with pytest.raises(UnknownName, match="onnx, openvino"):
        export(model, to="tflite")
    with pytest.raises(UsageError, match="suffix"):
        export(model, tmp_path / "m.pb", to="onnx")
    with pytest.raises(UsageError, match="separate pathways"):
        export(model, tmp_path / "m.onnx", to="onnx", options=Options(pathways="separate"))
    with pytest.raises(UsageError, match="no view"):
        export(model, tmp_path / "m.onnx", to="onnx", options=Options(batch=0))
    (tmp_path / "file").touch()
    with pytest.raises(WriteError):
        export(model, tmp_path / "file" / "m.onnx", to="onnx")
    monkeypatch.setattr(formats, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"ptv_hub\[openvino\]"):
        export(model, tmp_path / "m.xml", to="openvino")


def test_the_command_line_exports(tmp_path):
    arguments = ["export", "motion_x3d", "--to", "torch-export", "--json"]
    arguments += ["-o", str(tmp_path / "x.pt2"), "--views-batch", "1"]

    done = ptv_hub_command(*arguments)
    assert done.code == 0, done.err
    told = json.loads(done.out)
    spec = ptv_hub.entry("motion_x3d").input
    assert told["inputs"] == {"clip": [1, 3, spec.num_frames, spec.crop_size, spec.crop_size]}
    assert told["max_difference"] <= 1e-4
    assert Path(told["files"][0]).is_file()
    misused = ptv_hub_command(*arguments, "--views-batch", "many")
    assert misused.code == 2
    assert "--views-batch" in misused.err
