"""verify: planted faults are caught by the level that should, and nothing is claimed beyond."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from ptv_hub.cli import app
from ptv_hub.errors import FetchError
from ptv_hub.fetching.hub import entry
from ptv_hub.models.builders import build
from ptv_hub.models.digest import digest
from ptv_hub.verification import goldens
from ptv_hub.verification.behaviour import check_behaviour
from ptv_hub.verification.initialisation import at_initialisation
from ptv_hub.verification.numbers import check_numbers, outputs
from ptv_hub.verification.records import LEVELS, VERDICTS, Check, VerifyReport
from ptv_hub.verification.tensors import check_tensors
from ptv_hub.verification.walk import verify
from ptv_hub.weights import checkpoint
from ptv_hub.weights.load import load
from ptv_hub.weights.lookalikes import lookalikes
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.manifest import all_entries, entries
from tests import ROOT
from tests.command import ptv_hub
from tools import draw
from tools import goldens as golden_tool

NAME = "x3d_xs"
"""The smallest model; what is proven with it holds for the others' files as well."""


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path):
    """Pins and recorded goldens of one test are not another's."""
    monkeypatch.setenv("PTV_HUB_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def weights() -> Callable[..., dict[str, Tensor]]:
    """Drawn weights, official keys; of a seed for which no golden is known, unless asked."""
    known: dict[tuple[str, int], dict[str, Tensor]] = {}

    def make(name: str = NAME, seed: int = 7) -> dict[str, Tensor]:
        if (name, seed) not in known:
            known[name, seed] = draw.state_dict(name, seed, layout="official")
        return {key: tensor.clone() for key, tensor in known[name, seed].items()}

    return make


def written(folder: Path, tensors: dict[str, Tensor], name: str = "weights.pyth") -> Path:
    path = folder / name
    checkpoint.write(path, tensors)
    return path


def check(report: VerifyReport, level: str, name: str) -> Check:
    (found,) = [c for c in report.checks if (c.level, c.name) == (level, name)]
    return found


def of_tensors(tensors: dict[str, Tensor]) -> dict[str, Check]:
    """The checks of level tensors alone, by name."""
    return {c.name: c for c in check_tensors(entry(NAME), tensors, digest(tensors), {})}


def failing(report: VerifyReport) -> set[tuple[str, str]]:
    return {(c.level, c.name) for c in report.checks if c.verdict == "fails"}


# ------------------------------------------------------------------ what is sound


def test_drawn_weights_are_verified_against_pyslowfast_and_called_drawn(drawn):
    report = verify(NAME, weights=drawn(NAME))
    assert report.holds, report.claim
    assert report.claim == (
        "weights of x3d_xs drawn by tools/draw.py (seed 0), not trained; spec: holds; "
        "file: holds, but nobody vouches for sha256; keys: holds; "
        "tensors: holds, but nobody vouches for digest; numbers, behaviour: hold; "
        "accuracy: not checked"
    )
    golden = check(report, "numbers", "golden outputs")
    assert golden.expected == "PySlowFast's outputs for a drawn clip"
    assert [c.verdict for c in report.checks_of("behaviour")] == ["holds"] * 5
    assert list(dict.fromkeys(c.level for c in report.checks)) == list(LEVELS)


def test_weights_that_nobody_knows_are_claimed_to_be_nothing(weights, tmp_path):
    report = verify(NAME, weights=written(tmp_path, weights()))
    assert report.holds
    assert report.caution is None
    unknown = {(c.level, c.name) for c in report.checks if c.verdict == "unknown"}
    assert unknown == {
        ("file", "sha256"),
        ("keys", "identity"),
        ("tensors", "digest"),
        ("numbers", "golden outputs"),
    }
    assert (
        "nothing here can tell x3d_xs, x3d_s, x3d_m apart" in check(report, "keys", "identity").note
    )


@pytest.mark.parametrize("options", [{"layout": "official"}, {"legacy": True}], ids=str)
def test_either_layout_and_old_files_verify(drawn, options):
    report = verify(NAME, weights=drawn(NAME, training=False, **options))
    assert report.holds, report.claim
    assert report.levels["numbers"] == "holds"


def test_safetensors_verify_with_the_digest_in_their_header(drawn, tmp_path):
    from ptv_hub.weights.convert import convert

    convert(drawn(NAME), tmp_path / "x.safetensors", to="official")
    report = verify(NAME, weights=tmp_path / "x.safetensors")
    assert report.holds, report.claim
    assert check(report, "tensors", "digest in its header").verdict == "holds"
    assert check(report, "file", "its own word").found == "entry x3d_xs"


# ------------------------------------------------------------------ planted faults


def flip(tensor: Tensor) -> None:
    """The lowest bit of one number."""
    tensor.view(torch.int32).reshape(-1)[5] ^= 1


KEY = "blocks.3.res_blocks.2.branch2.conv_a.weight"


def test_one_flipped_bit_is_caught_by_the_stated_digest(weights, tmp_path):
    tensors = weights()
    item = entry(NAME).model_copy(update={"digest": digest(tensors)})
    path = written(tmp_path, tensors)
    assert check(verify(item, weights=path), "tensors", "digest").verdict == "holds"
    flip(tensors[KEY])
    report = verify(item, weights=written(tmp_path, tensors))
    assert failing(report) == {("tensors", "digest")}


def test_one_flipped_bit_is_caught_by_the_digest_in_a_safetensors_header(weights, tmp_path):
    tensors = weights()
    stated = digest(tensors)
    flip(tensors[KEY])
    checkpoint.write(tmp_path / "x.safetensors", tensors, metadata={"digest": stated})
    report = verify(NAME, weights=tmp_path / "x.safetensors")
    assert failing(report) == {("tensors", "digest in its header")}


def test_one_flipped_bit_is_caught_by_the_published_hash(weights, tmp_path, monkeypatch):
    tensors = weights()
    path = written(tmp_path / "..", tensors, "published.pyth")
    item = published(entry(NAME), path)
    serve(monkeypatch, tmp_path, item, path)
    report = verify(item, progress=False)
    assert report.holds, report.claim
    assert check(report, "file", "sha256").verdict == "holds"
    assert check(report, "file", "sha256").note == "two independent logs"
    flip(tensors[KEY])
    monkeypatch.setenv("PTV_HUB_CACHE", str(tmp_path / "another"))
    serve(monkeypatch, tmp_path, item, written(tmp_path, tensors, "flipped.pyth"))
    report = verify(item, progress=False)
    assert failing(report) == {("file", "sha256")}
    assert report.levels["behaviour"] == "not checked"


def test_one_flipped_bit_under_a_golden_is_not_verified(weights, tmp_path):
    tensors = weights(seed=0)
    flip(tensors[KEY])
    report = verify(NAME, weights=written(tmp_path, tensors))
    assert report.levels["numbers"] == "unknown"
    assert report.caution is None


def published(item: Entry, path: Path) -> Entry:
    """The entry, had its owners published size and hash of this file."""
    from ptv_hub.files import sha256_of

    facts = {
        "size": path.stat().st_size,
        "sha256": sha256_of(path),
        "hash_source": "two independent logs",
        "layout": "official",
    }
    return item.model_copy(update={"artifacts": (item.artifacts[0].model_copy(update=facts),)})


def serve(monkeypatch: pytest.MonkeyPatch, folder: Path, item: Entry, path: Path) -> None:
    """Make ``path`` the file that is fetched for the entry."""
    target = folder / "mirror" / item.artifacts[0].path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(path.read_bytes())
    monkeypatch.setenv("PTV_HUB_MIRROR", str(folder / "mirror"))


def test_an_infinity_is_caught_and_named(weights):
    tensors = weights()
    tensors[KEY].reshape(-1)[5] = float("inf")
    found = of_tensors(tensors)["finite"]
    assert (found.verdict, found.found) == ("fails", f"{KEY}: 1 infinite of {tensors[KEY].numel()}")


def test_a_nan_is_caught_and_named(weights, tmp_path):
    tensors = weights()
    tensors[KEY].reshape(-1)[5] = float("nan")
    report = verify(NAME, weights=written(tmp_path, tensors))
    assert ("tensors", "finite") in failing(report)
    assert check(report, "tensors", "finite").found.startswith(f"{KEY}: 1 ")
    # Its outputs are no numbers either, but they are the same bits twice.
    assert check(report, "behaviour", "deterministic").verdict == "holds"


def test_x3d_s_under_the_name_of_x3d_m_is_caught_by_its_known_digest(drawn):
    report = verify("x3d_m", weights=drawn("x3d_s", training=False))
    assert failing(report) == {("keys", "identity")}
    assert check(report, "keys", "identity").found == "x3d_s"
    assert check(report, "numbers", "golden outputs").verdict == "not checked"


def test_x3d_s_under_the_name_of_x3d_xs_is_caught_by_its_own_config(tmp_path):
    path = draw.write("x3d_s", tmp_path / "X3D_XS.pyth", seed=7)
    report = verify(NAME, weights=path)
    assert failing(report) == {("file", "its own word")}
    assert "num_frames 13" in check(report, "file", "its own word").found


def test_x3d_s_under_the_name_of_x3d_xs_is_caught_by_its_pin(tmp_path, monkeypatch):
    path = draw.write("x3d_s", tmp_path / "X3D_S.pyth", seed=7, training=False)
    serve(monkeypatch, tmp_path, entry("x3d_s"), path)
    first = verify("x3d_s", progress=False)
    assert check(first, "file", "sha256").verdict == "unknown"
    assert check(first, "keys", "identity").verdict == "unknown"
    again = verify("x3d_s", progress=False)
    assert check(again, "file", "sha256").verdict == "as recorded here"
    assert check(again, "keys", "identity").verdict == "as recorded here"
    assert failing(verify(NAME, weights=path)) == {("keys", "identity")}
    # Under the other's address it is pinned too, and that makes it no less of a swap.
    serve(monkeypatch, tmp_path, entry(NAME), path)
    assert failing(verify(NAME, progress=False)) == {("keys", "identity")}


def test_other_bytes_than_those_pinned_are_caught(weights, tmp_path, monkeypatch):
    item = entry(NAME)
    for seed in (7, 8):
        path = written(tmp_path, draw.state_dict(NAME, seed), "served.pyth")
        serve(monkeypatch, tmp_path, item, path)
        report = verify(NAME, progress=False)
        for file in (tmp_path / "cache").rglob("*.pyth"):
            file.unlink()
    assert failing(report) == {("file", "sha256")}
    assert "first use here" in check(report, "file", "sha256").expected


def test_x3d_s_under_the_name_of_x3d_xs_is_not_caught_where_nothing_is_known(weights, tmp_path):
    report = verify(NAME, weights=written(tmp_path, weights("x3d_s")))
    assert report.holds
    identity = check(report, "keys", "identity")
    assert identity.verdict == "unknown"
    assert "nothing here can tell x3d_xs, x3d_s, x3d_m apart" in identity.note


def test_the_lookalikes_of_the_zoo():
    groups = {frozenset([i.name, *(o.name for o in lookalikes(i))]) for i in entries()}
    assert {group for group in groups if len(group) > 1} == {
        frozenset({"x3d_xs", "x3d_s", "x3d_m"}),
        frozenset({"slow_4x16_r50", "slow_r50"}),
    }


def test_a_head_of_174_under_a_charades_name_is_caught(drawn):
    report = verify("slow_r50_charades", weights=drawn("slow_r50_ssv2", training=False))
    assert failing(report) == {("keys", "shapes"), ("keys", "classes")}
    classes = check(report, "keys", "classes")
    assert (classes.expected, classes.found) == ("157 classes (charades)", "174 classes (as ssv2)")
    assert report.levels["behaviour"] == "not checked"


def test_a_missing_key_and_a_strange_one_are_caught_by_name(weights, tmp_path):
    tensors = weights()
    tensors["blocks.9.extra.weight"] = tensors.pop(KEY)
    report = verify(NAME, weights=written(tmp_path, tensors))
    assert failing(report) == {("keys", "keys")}
    found = check(report, "keys", "keys").found
    assert found == f"1 missing: {KEY}; 1 unexpected: blocks.9.extra.weight"


def test_a_half_precision_copy_is_caught(weights, tmp_path):
    halves = {k: t.half() if t.is_floating_point() else t for k, t in weights().items()}
    report = verify(NAME, weights=written(tmp_path, halves))
    assert failing(report) == {("file", "dtype")}
    assert check(report, "file", "dtype").found == "float16, int64"


@pytest.mark.parametrize("suffix", [".pyth", ".safetensors"])
def test_a_truncated_file_is_caught(weights, tmp_path, suffix):
    path = written(tmp_path, weights(), f"weights{suffix}")
    path.write_bytes(path.read_bytes()[:-5000])
    report = verify(NAME, weights=path)
    assert failing(report) == {("file", "safe to read")}
    assert {report.levels[level] for level in LEVELS[2:]} == {"not checked"}


class Malice:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("run",))


def test_an_unsafe_file_is_caught_and_not_run(tmp_path, capsys):
    path = tmp_path / "weights.pyth"
    path.write_bytes(pickle.dumps({"model_state": Malice()}))
    report = verify(NAME, weights=path)
    assert failing(report) == {("file", "safe to read")}
    assert capsys.readouterr().out == ""


def test_keys_of_no_layout_are_caught(weights, tmp_path):
    strange = {f"backbone.{key}": tensor for key, tensor in weights().items()}
    report = verify(NAME, weights=written(tmp_path, strange))
    assert failing(report) == {("file", "layout")}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda var: var.fill_(1.0), "1 throughout"),
        (lambda var: var.zero_(), "0 throughout"),
        (lambda var: var.neg_(), "negative"),
    ],
    ids=["all one", "all zero", "negative"],
)
def test_batch_norm_statistics_that_no_data_gave_are_caught(weights, change, said):
    tensors = weights()
    stem = KEY.replace("conv_a.weight", "norm_a.")
    change(tensors[f"{stem}running_var"])
    tensors[f"{stem}running_mean"].zero_()
    checks = of_tensors(tensors)
    assert {name for name, c in checks.items() if c.verdict == "fails"} == {"batch norm"}
    assert said in checks["batch norm"].found


def test_single_channels_of_variance_zero_are_noted_and_hold(weights):
    tensors = weights()
    tensors[KEY.replace("conv_a.weight", "norm_a.running_var")][3] = 0
    found = of_tensors(tensors)["batch norm"]
    assert found.verdict == "holds"
    assert found.note == "1 channel of variance 0; batches counted: 1000"


# ------------------------------------------------------------------ weights at their initialisation


def fresh(name: str) -> dict[str, Tensor]:
    torch.manual_seed(0)
    tensors = build(entry(name)).state_dict()
    for key in tensors:
        if key.endswith("num_batches_tracked"):
            tensors[key].fill_(100_000)
    return tensors


def with_trained_looking_statistics(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    for key, tensor in tensors.items():
        if key.endswith("running_mean"):
            tensor.normal_(0, 0.3)
        elif key.endswith("running_var"):
            tensor.uniform_(0.2, 3.0)
    return tensors


def test_a_fresh_model_with_its_counters_set_is_recognised(tmp_path):
    report = verify(NAME, weights=written(tmp_path, fresh(NAME)))
    assert failing(report) == {("tensors", "batch norm"), ("tensors", "not as initialised")}
    note = check(report, "tensors", "not as initialised").note
    assert note == "not trained: convolutions, batch norms, classifier"


def test_running_statistics_do_not_hide_a_fresh_model(tmp_path):
    tensors = with_trained_looking_statistics(fresh(NAME))
    report = verify(NAME, weights=written(tmp_path, tensors))
    assert failing(report) == {("tensors", "not as initialised")}


@pytest.mark.parametrize(
    "name", ["c2d_r50", "slowfast_4x16_r50", "csn_r101", "r2plus1d_r50", "x3d_l"]
)
def test_fresh_and_drawn_are_told_apart_in_every_architecture(name):
    parts = at_initialisation(with_trained_looking_statistics(fresh(name)))
    assert [part.untouched for part in parts] == [True, True, True], parts
    drawn = draw.state_dict(name, layout="official")
    assert not any(part.untouched for part in at_initialisation(drawn)), at_initialisation(drawn)


def test_fresh_convolutions_are_recognised_by_their_spread_alone():
    tensors = fresh(NAME)
    for tensor in tensors.values():
        if tensor.dim() == 1 and tensor.is_floating_point():
            tensor.add_(0.01 * torch.randn(tensor.shape))
    assert {p.name: p.untouched for p in at_initialisation(tensors)} == {
        "convolutions": True,
        "batch norms": False,
        "classifier": False,
    }


def test_torchs_default_initialisation_is_recognised():
    torch.manual_seed(0)
    model = build(entry(NAME))
    for module in model.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    parts = at_initialisation(model.state_dict())
    assert [part.untouched for part in parts] == [True, True, True], parts


def test_a_fresh_classifier_on_trained_blocks_is_recognised(weights):
    tensors = weights()
    tensors["blocks.5.proj.weight"].normal_(0, 0.01)
    tensors["blocks.5.proj.bias"].zero_()
    untouched = [part.name for part in at_initialisation(tensors) if part.untouched]
    assert untouched == ["classifier"]


def test_a_few_steps_of_training_take_the_batch_norms_off_their_start():
    # In the first step a residual branch that ends in a scale of 0 gets no gradient.
    torch.manual_seed(0)
    item = entry(NAME)
    model = build(item)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    clip = torch.randn(2, 3, item.input.num_frames, 129, 129)
    for _ in range(3):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(clip), torch.tensor([1, 2])).backward()
        optimizer.step()
    parts = {part.name: part.untouched for part in at_initialisation(model.state_dict())}
    assert not parts["batch norms"]
    assert not parts["classifier"]


# ------------------------------------------------------------------ numbers and behaviour


def test_a_recorded_golden_is_reported_as_recorded_and_never_as_verified(weights, tmp_path):
    path = written(tmp_path, weights())
    first = verify(NAME, weights=path, record=True)
    assert first.levels["numbers"] == "unknown"
    again = verify(NAME, weights=path)
    assert again.levels["numbers"] == "as recorded here"
    assert "numbers: golden outputs only as recorded here" in again.claim
    # Had the machine computed something else then, it would be noticed.
    kept = tmp_path / "cache" / "goldens.json"
    content = json.loads(kept.read_text())
    content["goldens"][0]["logits"][17] += 2e-4
    kept.write_text(json.dumps(content))
    assert failing(verify(NAME, weights=path, record=True)) == {("numbers", "golden outputs")}
    assert json.loads(kept.read_text()) == content


def test_a_damaged_record_of_goldens_is_a_plain_error(weights, tmp_path):
    kept = tmp_path / "cache" / "goldens.json"
    kept.parent.mkdir()
    kept.write_text("{")
    with pytest.raises(FetchError, match=r"recorded goldens cannot be read"):
        goldens.kept()


def test_outputs_that_differ_from_the_shipped_golden_fail(weights):
    tensors = weights(seed=0)
    stated = digest(tensors)
    tensors[KEY] *= 1.01
    model = build(entry(NAME), device="meta")
    model.load_state_dict(tensors, assign=True)
    clip = goldens.drawn_clip(4, 182)
    found = check_numbers(model.eval(), outputs(model, clip), stated, keep=False)
    assert found.verdict == "fails"


def test_the_shipped_goldens_are_pyslowfasts_numbers(monkeypatch):
    monkeypatch.setattr(golden_tool, "entries", lambda: (entry(NAME),))
    (golden,) = json.loads(golden_tool.text())["goldens"]
    shipped = goldens.shipped()[golden["digest"]]
    assert shipped == goldens.Golden.model_validate(golden)
    drawn = [one for one in goldens.shipped().values() if one.attested_by is None]
    assert len(drawn) == len(entries())


@pytest.mark.slow
def test_all_shipped_goldens_are_pyslowfasts_numbers():
    assert golden_tool.TARGET.read_text() == golden_tool.text()


@pytest.mark.slow
@pytest.mark.parametrize("item", entries(), ids=lambda item: item.name)
def test_every_drawn_model_verifies(item, tmp_path):
    path = draw.write(item.name, tmp_path / "drawn.pyth", training=False)
    report = verify(item, weights=path)
    assert report.holds, report.claim
    assert report.levels["numbers"] == report.levels["behaviour"] == "holds"


def test_a_model_that_answers_differently_each_time_fails(drawn):
    model = load(NAME, weights=drawn(NAME))
    first = outputs(model, goldens.drawn_clip(4, 182))
    model.train()  # dropout draws, and batch norm looks at the batch
    verdicts = {c.name: c.verdict for c in check_behaviour(model, first)}
    assert verdicts["deterministic"] == verdicts["alone and in a batch"] == "fails"


def test_outputs_leave_the_model_as_it_was(drawn):
    model = load(NAME, weights=drawn(NAME), activation="softmax")
    clip = goldens.drawn_clip(4, 182)
    before = model(clip)
    found = outputs(model, clip)
    assert torch.equal(found.scores, before)
    assert model.activation == "softmax"
    assert torch.equal(model(clip), before)


# ------------------------------------------------------------------ the command line and its output


def run(*words: object) -> Any:
    return CliRunner().invoke(app, ["verify", *map(str, words)])


@pytest.fixture
def at_columns(monkeypatch) -> Callable[[int], None]:
    """A terminal of this width, without colours."""

    def set_width(columns: int) -> None:
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr("rich.console.Console.is_terminal", True)
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setenv("TERM", "dumb")

    return set_width


@pytest.mark.parametrize("columns", [80, 120])
def test_the_table_keeps_to_the_width_of_the_terminal(drawn, at_columns, columns):
    at_columns(columns)
    done = run("X3D_XS", "--weights", drawn(NAME))
    assert done.exit_code == 0
    table = done.stdout.split("level ")[1].split("file (sha256)")[0]
    assert max(map(len, table.splitlines())) <= columns
    for said in (*LEVELS, "holds", "unknown", "PySlowFast", "not trained"):
        assert said in done.stdout, said


_specs: dict[str, VerifyReport] = {}


@pytest.fixture
def counted_once(monkeypatch):
    """Half a minute goes into counting what all models cost: once is enough for all who show it."""

    def report(item: Entry, *, weights=None, spec_only=False, **others: Any) -> VerifyReport:
        if weights is not None or not spec_only:
            return verify(item, weights=weights, spec_only=spec_only, **others)
        if item.name not in _specs:
            _specs[item.name] = verify(item, spec_only=True)
        return _specs[item.name]

    monkeypatch.setattr("ptv_hub.verification.walk.verify", report)


@pytest.mark.xdist_group("whole zoo")
@pytest.mark.usefixtures("counted_once")
@pytest.mark.parametrize("columns", [80, 120])
def test_the_zoos_table_keeps_to_the_width_of_the_terminal(at_columns, columns):
    at_columns(columns)
    done = run("--all", "--spec")
    assert done.exit_code == 0
    assert max(map(len, done.stdout.splitlines())) <= columns
    for item in entries():
        assert re.search(rf"^ ?{item.name} ", done.stdout, re.MULTILINE), item.name


@pytest.mark.xdist_group("whole zoo")
@pytest.mark.usefixtures("counted_once")
def test_json_is_valid_by_its_schema_and_says_all(drawn):
    schema = json.loads((ROOT / "docs" / "verify.schema.json").read_text())
    done = run(NAME, "--weights", drawn(NAME), "--json")
    assert done.exit_code == 0
    report = json.loads(done.stdout)
    jsonschema.Draft202012Validator(schema).validate(report)
    assert report["holds"] is True
    assert report["levels"]["accuracy"] == "not checked"
    assert {check["verdict"] for check in report["checks"]} <= set(VERDICTS)
    done = run("--all", "--spec", "--json")
    assert [r["name"] for r in json.loads(done.stdout)] == [item.name for item in all_entries()]
    for report in json.loads(done.stdout):
        jsonschema.Draft202012Validator(schema).validate(report)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate({**report, "checks": "all of them"})


def test_markdown_has_a_row_for_each_check_and_cuts_nothing(drawn):
    done = run(NAME, "--weights", drawn(NAME), "--markdown")
    report = verify(NAME, weights=drawn(NAME))
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert len(rows) == 2 + len(report.checks)
    assert report.digest in done.stdout
    assert report.claim in done.stdout


def test_a_check_that_does_not_hold_exits_with_3(weights, tmp_path):
    tensors = weights()
    tensors[KEY].reshape(-1)[5] = float("nan")
    done = run(NAME, "--weights", written(tmp_path, tensors))
    assert done.exit_code == 3
    assert "tensors: FAILS (finite)" in " ".join(done.stdout.split())
    (tmp_path / "broken.pyth").write_bytes(b"PK\x03\x04nothing")
    assert run(NAME, "--weights", tmp_path / "broken.pyth").exit_code == 3


def test_weights_that_cannot_be_brought_here_exit_with_1(monkeypatch):
    monkeypatch.setenv("PTV_HUB_OFFLINE", "1")
    done = run(NAME)
    assert done.exit_code == 1
    assert "spec: holds; file, keys, tensors, numbers, behaviour, accuracy: not checked" in (
        " ".join(done.stdout.split())
    )
    assert "not in the cache" in done.stderr
    assert verify(NAME).unavailable is not None


@pytest.mark.parametrize(
    "words",
    [
        [],
        [NAME, "--all"],
        ["--all", "--weights", __file__],
        [NAME, "--spec", "--weights", __file__],
        [NAME, "--spec", "--record"],
        [NAME, "--spec", "--json", "--markdown"],
        ["x3d_mm", "--spec"],
        [NAME, "--weights", "no/such/file.pyth"],
    ],
    ids=" ".join,
)
def test_misuse_exits_with_2(words):
    done = ptv_hub("verify", *words)
    assert done.code == 2, done.err
    assert done.out == ""


def test_all_walks_the_manifests_with_one_table_and_one_exit_code(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("PTV_HUB_OFFLINE", "1")
    broken = weights()
    broken[KEY].reshape(-1)[5] = float("nan")
    served = {NAME: weights(), "x3d_s": broken}
    chosen = tuple(entry(name) for name in (NAME, "x3d_m"))
    monkeypatch.setattr("ptv_hub.zoo.manifest.all_entries", lambda: chosen)
    serve(monkeypatch, tmp_path, entry_of(NAME), written(tmp_path, pyslowfast(served[NAME])))
    done = run("--all")
    assert done.exit_code == 1  # nobody has x3d_m
    assert "[1/2] x3d_xs" in done.stderr
    assert re.search(r"x3d_xs +ok +\? +\? +\? +\? +ok +-", done.stdout)
    assert re.search(r"x3d_m +ok +- +- +- +- +- +-", done.stdout)
    chosen = tuple(entry_of(name) for name in (NAME, "x3d_s"))
    serve(monkeypatch, tmp_path, entry_of("x3d_s"), written(tmp_path, pyslowfast(broken)))
    done = run("--all")
    assert done.exit_code == 3
    assert re.search(rf"x3d_s: tensors, finite: .*{re.escape(KEY)}", done.stdout)
    assert run("--all", "--markdown").stdout.count("\n| ") == 3


ZOO = entries()


def entry_of(name: str) -> Entry:
    return next(item for item in ZOO if item.name == name)


def pyslowfast(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    from ptv_hub.weights import layouts

    return layouts.convert(tensors, "official", "pyslowfast")


def test_the_public_name_is_the_function():
    import ptv_hub

    assert ptv_hub.verify is verify


# ------------------------------------------------------------------ the documentation


def test_the_documented_pipeline_runs_as_written(tmp_path, monkeypatch):
    """Manifest and commands of docs/verify.md, on a file drawn for them."""
    text = (ROOT / "docs" / "verify.md").read_text()
    (manifest,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    (tmp_path / "zoo.json").write_text(manifest)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PTV_HUB_MANIFESTS", "zoo.json")
    path = draw.write("x3d_xs_gestures", tmp_path / "x3d_xs_gestures.pyth", seed=7)
    stated = json.loads(manifest)
    stated["entries"][0]["digest"] = digest(
        draw.state_dict("x3d_xs_gestures", 7, layout="official")
    )
    (tmp_path / "zoo.json").write_text(json.dumps(stated))
    (pipeline,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    commands = re.findall(
        r"ptv-hub (--manifest zoo.json verify .*?)(?: >.*)?$", pipeline, re.MULTILINE
    )
    assert len(commands) == 2
    for command in commands:
        done = CliRunner().invoke(app, command.split())
        assert done.exit_code == 0, done.output
    assert "tensors: hold" in done.stdout
    path.write_bytes(path.read_bytes()[:100_000])
    assert CliRunner().invoke(app, commands[-1].split()).exit_code == 3
