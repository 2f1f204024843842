"""Models that can be handed on: pickled, copied, saved whole, sent to a new process."""

from __future__ import annotations

import copy
import io
import multiprocessing
import pickle

import pytest
import torch

from ptv_hub.errors import UsageError
from ptv_hub.models.builders import VideoModel, build
from ptv_hub.verification.goldens import drawn_clip
from ptv_hub.weights.load import load
from ptv_hub.zoo.manifest import entries


@pytest.mark.parametrize("item", entries(), ids=lambda item: item.name)
def test_every_model_can_be_pickled(item):
    again = pickle.loads(pickle.dumps(build(item, device="meta")))
    assert again.entry == item


def _saved(model: torch.nn.Module) -> torch.nn.Module:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def _as_ray_sends(model: torch.nn.Module) -> torch.nn.Module:
    """What reaches a task or an actor of a Ray cluster, whose pickle is cloudpickle's."""
    cloudpickle = pytest.importorskip("cloudpickle")
    return pickle.loads(cloudpickle.dumps(model))


@pytest.mark.parametrize(
    "way",
    [lambda m: pickle.loads(pickle.dumps(m)), copy.deepcopy, _saved, _as_ray_sends],
    ids=range(4),
)
@pytest.mark.parametrize("kind", [{}, {"num_classes": 0}, {"features_only": True}])
def test_what_is_handed_on_computes_the_same(way, kind, drawn):
    model = load("x3d_xs", weights=drawn("x3d_xs"), **kind)
    clip = drawn_clip(4, 160)
    with torch.inference_mode():
        mine, theirs = model(clip), way(model)(clip)
    torch.testing.assert_close(theirs, mine, atol=0, rtol=0)


def _score(model: VideoModel, clip: torch.Tensor, queue: multiprocessing.Queue) -> None:
    with torch.inference_mode():
        queue.put(model(clip).tolist())


def test_a_model_travels_to_a_spawned_process(drawn):
    context = multiprocessing.get_context("spawn")
    model, queue = load("x3d_s", weights=drawn("x3d_s")), context.Queue()
    clip = drawn_clip(13, 160)
    process = context.Process(target=_score, args=(model, clip, queue))
    process.start()
    found = torch.tensor(queue.get(timeout=300))
    process.join()
    with torch.inference_mode():
        torch.testing.assert_close(found, model(clip), atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", [{}, {"features_only": True}])
@pytest.mark.parametrize(
    "cast",
    [
        lambda m: m.half(),
        lambda m: m.bfloat16(),
        lambda m: m.to(torch.float16),
        lambda m: m.to("cpu", torch.bfloat16),
        lambda m: m.to(dtype=torch.bfloat16),
    ],
    ids=range(5),
)
def test_half_the_bits_on_a_cpu_are_refused_with_what_to_do(kind, cast):
    model = load("x3d_xs", pretrained=False, **kind)
    with pytest.raises(UsageError, match=r"autocast(.|\n)*optimize\(dtype="):
        cast(model)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert cast(torch.nn.Linear(1, 1)).weight.dtype != torch.float32


def test_other_moves_are_torchs_own():
    model = load("x3d_xs", pretrained=False)
    assert model.to("cpu") is model
    assert model.double().blocks[0].conv.conv_t.weight.dtype == torch.float64
    assert model.to("meta", torch.float16).blocks[0].conv.conv_t.weight.dtype == torch.float16
