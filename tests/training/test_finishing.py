"""What people finish a training with: each off by default, each held to what it must be."""

from __future__ import annotations

import csv
import logging
from collections import Counter

import numpy as np
import pytest
import torch
from lightning.fabric.loggers import CSVLogger, TensorBoardLogger
from torch import nn

from ptv_hub.datasets.listing import Item
from ptv_hub.datasets.motion import write_all
from ptv_hub.errors import UsageError
from ptv_hub.fetching.hub import entry
from ptv_hub.models.builders import build
from ptv_hub.training.averaged import Averaged
from ptv_hub.training.balance import chances, class_weights
from ptv_hub.training.clips import Batches
from ptv_hub.training.engine import train
from ptv_hub.training.finetuning import finetuning, with_more
from ptv_hub.training.looks import _looked
from ptv_hub.training.optimizer import make_optimizer, set_learning_rate
from ptv_hub.training.source import read_source
from ptv_hub.training.step import Group
from ptv_hub.weights import checkpoint, layouts
from ptv_hub.weights.load import load
from ptv_hub.zoo.recipe import Recipe
from tests.training.test_engine import SMALL, same, start_weights

WITHOUT_NORMS = ["MODEL.FROZEN_BN", True, "MODEL.DROPOUT_RATE", 0.0]


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("motion")
    write_all(folder, train=2, val=1)
    return folder


def run(videos, output, *opts, more=None, epochs=1, **changes):
    pairs = [*SMALL, "SOLVER.MAX_EPOCH", epochs, *opts]
    config = finetuning(entry("x3d_xs"), output=str(output), opts=pairs, more=more)
    source = read_source(config.entry, videos, num_classes="auto")
    return train(config, source, **({"check": "none"} | changes))


def test_gradients_of_two_batches_are_those_of_one_of_both(videos, tmp_path):
    """Batch norms and dropout are kept still: they see a batch as it is cut."""
    start = start_weights(tmp_path)
    more = [*WITHOUT_NORMS, "SOLVER.BASE_LR", 1.0, "SOLVER.WARMUP_EPOCHS", 0.0]
    run(videos, tmp_path / "one", "TRAIN.BATCH_SIZE", 6, *more, weights=start)
    pair = ["TRAIN.BATCH_SIZE", 3, *more]
    run(videos, tmp_path / "two", *pair, weights=start, more={"accumulate": 2})
    one, two = (checkpoint.read(tmp_path / n / "last.pyth").tensors for n in ("one", "two"))
    before = layouts.convert(checkpoint.read(start).tensors, "official", "pyslowfast")
    keys = [key for key, tensor in before.items() if tensor.dim() > 2]
    moved = max(float((one[key] - before[key]).abs().max()) for key in keys)
    apart = max(float((one[key] - two[key]).abs().max()) for key in keys)
    assert apart < 1e-3 * moved


def test_groups_of_batches():
    assert [Group.of(step, 5, 2).size for step in range(5)] == [2, 2, 2, 2, 1]
    assert Group.of(3, 5, 1) == Group(3, 3)


def test_the_moving_average_is_watched_and_published(videos, tmp_path):
    more = {"ema_decay": 0.5}
    start = start_weights(tmp_path)
    result = run(videos, tmp_path / "run", epochs=2, more=more, weights=start)
    begun = layouts.convert(checkpoint.read(start).tensors, "official", "pyslowfast")
    last = checkpoint.read(tmp_path / "run" / "last.pyth")
    best = checkpoint.read(tmp_path / "run" / "best.pyth")
    average = last.training["ema_state"]
    assert any(not torch.equal(t, average[k]) for k, t in last.tensors.items())
    convolutions = [key for key, tensor in begun.items() if tensor.dim() > 2]
    assert all(not torch.equal(begun[key], average[key]) for key in convolutions)
    official = layouts.to_official(best.tensors)
    model = load(result.model)
    assert all(torch.equal(t, official[k]) for k, t in model.state_dict().items())
    again = {"more": more, "weights": start, "save_every_s": 0.0}
    short = run(videos, tmp_path / "parts", epochs=2, **again)
    assert short.digest == result.digest


def test_a_run_with_everything_goes_on_as_if_nothing_had_been(videos, tmp_path, monkeypatch):
    opts = ["MIXUP.ENABLE", True, "AUG.NUM_SAMPLE", 2, "SOLVER.LAYER_DECAY", 0.7]
    more = {"accumulate": 2, "ema_decay": 0.9, "balance": "sampler"}
    start = start_weights(tmp_path)
    asked = {"more": more, "epochs": 2, "weights": start}
    run(videos, tmp_path / "whole", *opts, **asked)

    class Enough(Exception):
        pass

    def ends(progress):
        if progress.kind == "step" and (progress.epoch, progress.done) == (1, 1):
            raise Enough

    with pytest.raises(Enough):
        run(videos, tmp_path / "parts", *opts, **asked, report=ends, save_every_s=0.0)
    run(videos, tmp_path / "parts", *opts, **asked)
    one, two = (tmp_path / name / "last.pyth" for name in ("whole", "parts"))
    assert same(one, two)
    averages = [checkpoint.read(path).training["ema_state"] for path in (one, two)]
    assert all(torch.equal(tensor, averages[1][key]) for key, tensor in averages[0].items())


def test_the_average_is_what_it_says():
    model = build(finetuning(entry("x3d_xs"), opts=SMALL).entry)
    averaged = Averaged(model, 0.75)
    key = "blocks.0.conv.conv_t.weight"
    before = model.state_dict()[key].clone()
    with torch.no_grad():
        model.state_dict()[key].add_(1.0)
        model.state_dict()["blocks.0.norm.num_batches_tracked"].fill_(7)
    averaged.update()
    state = averaged.model.state_dict()
    assert torch.allclose(state[key], before + 0.25)
    assert int(state["blocks.0.norm.num_batches_tracked"]) == 7


def test_a_run_ends_where_looks_find_nothing_better(videos, tmp_path):
    more = {"patience": 2}
    still = ["SOLVER.BASE_LR", 1e-9, "SOLVER.WARMUP_START_LR", 1e-9]
    result = run(videos, tmp_path / "run", *still, epochs=9, more=more)
    assert result.stopped_early
    assert (result.epochs, result.best_epoch) == (3, 0)
    again = run(videos, tmp_path / "run", *still, epochs=9, more=more)
    assert (again.epochs, again.digest) == (3, result.digest)


def test_curves_and_loggers_get_loss_metric_and_top5(videos, tmp_path):
    loggers = [CSVLogger(tmp_path / "csv"), TensorBoardLogger(tmp_path / "board")]
    run(videos, tmp_path / "run", epochs=2, loggers=loggers)
    rows = list(csv.DictReader((tmp_path / "run" / "epochs.csv").open()))
    assert all(
        float(row["val_loss"]) > 0 and float(row["top5"]) >= float(row["value"]) for row in rows
    )
    (file,) = (tmp_path / "csv").rglob("metrics.csv")
    told = list(csv.DictReader(file.open()))
    last = {key: float(row[key]) for row in told for key in row if row[key]}
    assert last["val/top1"] == pytest.approx(float(rows[-1]["value"]))
    assert last["val/loss"] == pytest.approx(float(rows[-1]["val_loss"]))
    assert {"val/top5", "train/loss", "train/learning_rate"} <= set(last)
    assert list((tmp_path / "board").rglob("events.out.tfevents.*"))
    assert "<svg" in (tmp_path / "run" / "curves.svg").read_text()


def test_what_a_look_says_is_what_torch_computes():
    torch.manual_seed(0)
    logits, labels = torch.randn(40, 8), torch.randint(0, 8, (40,))
    found = _looked(logits.softmax(1).numpy(), labels.numpy(), several=False)
    assert found.loss == pytest.approx(float(nn.functional.cross_entropy(logits, labels)), rel=1e-5)
    best = logits.topk(5).indices == labels[:, None]
    assert found.top5 == pytest.approx(100 * float(best.any(1).float().mean()))
    marks = torch.randint(0, 2, (40, 8)).float()
    several = _looked(logits.sigmoid().numpy(), marks.numpy(), several=True)
    expected = nn.functional.binary_cross_entropy_with_logits(logits, marks)
    assert several.loss == pytest.approx(float(expected), rel=1e-5)
    assert several.top5 is None


def items(*counts):
    return [Item(f"{c}-{n}", "", (c,)) for c, count in enumerate(counts) for n in range(count)]


def test_rare_classes_count_as_much():
    weights = class_weights(items(6, 2, 0, 4), 4)
    assert torch.allclose(weights, torch.tensor([12 / 18, 2.0, 0.0, 1.0]))
    listed = items(60, 20, 40)
    batches = Batches(len(listed), 4, seed=3, chances=chances(listed))
    drawn: Counter[int] = Counter()
    for epoch in range(20):
        batches.epoch = epoch
        drawn.update(listed[index].labels[0] for batch in batches for _, index in batch)
    shares = np.array([drawn[c] for c in range(3)]) / sum(drawn.values())
    assert np.allclose(shares, 1 / 3, atol=0.03)


def test_clips_of_one_video_stand_side_by_side():
    batches = Batches(6, 2, seed=0, copies=3)
    for batch in batches:
        assert len(batch) == 6
        assert [copy for _, _, copy in batch] == [0, 1, 2] * 2
        assert len({index for _, index, _ in batch}) == 2


def test_layers_learn_at_rates_of_their_own():
    model = build(finetuning(entry("x3d_xs"), opts=SMALL).entry)
    optimizer = make_optimizer(model, Recipe(layer_decay=0.5))
    set_learning_rate(optimizer, 0.2)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    head, stem = model.blocks[-1].proj.weight, model.blocks[0].conv.conv_t.weight
    assert rates[id(head)] == pytest.approx(0.2)
    assert rates[id(stem)] < 0.2 * 0.5**3
    plain = make_optimizer(model, Recipe())
    set_learning_rate(plain, 0.2)
    assert {group["lr"] for group in plain.param_groups} == {0.2}


def test_what_does_not_fit_together_is_misuse(caplog):
    caplog.set_level(logging.ERROR)
    with pytest.raises(UsageError, match="fit together") as error:
        with_more(Recipe(loss="bce_logit"), {"balance": "weights"})
    assert "one label a video" in error.value.found
