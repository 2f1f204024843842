"""Model cards: valid for the Hub, figures of the manifest, no claim that is not proven."""

from __future__ import annotations

import io
import json
import re

import pytest
import yaml
from PIL import Image
from typer.main import get_command

import ptv_hub
from ptv_hub import markdown
from ptv_hub.cli import app
from ptv_hub.errors import ManifestError, UsageError
from ptv_hub.evaluation.result import Counts, EvalResult, Metrics
from ptv_hub.pages import figure
from ptv_hub.publish import chart
from ptv_hub.publish.card import bibtex, card
from ptv_hub.publish.card_metadata import require_valid
from ptv_hub.verification.records import Check, VerifyReport
from ptv_hub.zoo import repository
from ptv_hub.zoo.entry import Attested, Entry, License, Measured
from ptv_hub.zoo.manifest import entries
from ptv_hub.zoo.repository import HubConfig, Provenance, WeightsFile
from tests import ROOT

ENTRIES = [pytest.param(item, id=item.name) for item in entries()]


def config_of(
    item: Entry, *, source: str | None = None, vouched_by: str | None = None
) -> HubConfig:
    weights = WeightsFile(size=1000, sha256="a" * 64, digest="b" * 64)
    origin = Provenance(
        source=source or item.artifacts[0].url,
        sha256="c" * 64,
        vouched_by=vouched_by,
        evidence="digest",
        converted_by="ptv_hub",
    )
    return HubConfig.of(item, weights, origin)


def report_of(item: Entry, **facts: object) -> VerifyReport:
    checks = (
        Check(level="keys", name="keys", verdict="holds"),
        Check(level="tensors", name="digest", verdict="unknown"),
        Check(level="accuracy", name="accuracy", verdict="not checked"),
    )
    facts = {"checks": checks, "environment": {}, **facts}
    return VerifyReport(name=item.name, dataset=item.dataset, **facts)


def written(item: Entry, **facts: object) -> str:
    return card(item, config_of(item), report_of(item), repo_id="org/name", **facts)


def test_who_saw_the_zoos_file_is_told_where_the_tensors_are_the_same():
    item = ptv_hub.entry("x3d_xs")
    attested = Attested(by="A. Tester", on="2026-11-26", measured=MEASURED)
    seen = item.model_copy(update={"attested": attested, "digest": "b" * 64})
    text = written(seen)
    assert "| attested files seen | 2026-11-26, by A. Tester |" in text
    assert "| attested reproduced | held (1.2 % of the owners' list is lost) |" in text
    assert "attested" not in written(seen.model_copy(update={"digest": "d" * 64}))


MEASURED = Measured(top1=69.0, scored=19761, listed=19761, lost=1.2, reproduced="held")


def metadata(text: str) -> dict:
    return yaml.safe_load(text.split("---\n")[1])


@pytest.mark.parametrize("item", ENTRIES)
def test_the_hubs_own_reader_takes_the_card(item):
    from huggingface_hub import ModelCard

    text = written(item)
    require_valid(text)
    data = ModelCard(text).data
    assert data.pipeline_tag == "video-classification"
    assert data.library_name == "ptv_hub"
    assert data.datasets == [item.dataset]
    assert (data.license, data.license_link) == ("other", "LICENSE.md")
    found = {result.metric_name: result.metric_value for result in data.eval_results}
    told = {
        "top-1 (published)": item.published.top1,
        "top-5 (published)": item.published.top5,
        "mAP (published)": item.published.mean_average_precision,
    }
    assert found == {name: value for name, value in told.items() if value is not None}
    for result in data.eval_results:
        assert result.source_url == item.published.url
        assert "published" in result.source_name
        assert result.metric_args["num_clips"] == item.protocol.num_clips


@pytest.mark.parametrize("item", ENTRIES)
def test_its_figures_are_the_manifests(item):
    text, published = written(item), item.published
    for value in (published.top1, published.top5, published.mean_average_precision):
        if value is not None:
            assert f"| {value:.2f} |" in text
    assert f"| GFLOPs of one view | {published.gflops:.2f} |" in text
    spec = item.input
    assert f"{spec.num_frames}, {spec.crop_size}, {spec.crop_size})" in text
    assert f"{item.num_classes} classes" in text
    for erratum in item.errata:
        assert markdown.text(f"printed {erratum.printed}, found {erratum.found}") in text
    assert bibtex(item.paper) in text
    assert item.artifacts[0].url in text
    assert "not stated by their owners" in text


def test_its_links_lead_to_files_of_the_repository():
    text = written(ptv_hub.entry("x3d_m"))
    links = set(re.findall(r"\]\(([^)]+)\)", text))
    assert links == {repository.CHART_FILE}
    assert metadata(text)["license_link"] in repository.FILES
    assert repository.CHART_FILE not in written(ptv_hub.entry("x3d_m"), chart=False)


def test_a_file_of_unknown_origin_is_not_said_to_have_the_published_accuracy():
    item = ptv_hub.entry("x3d_m")
    text = card(
        item, config_of(item, source="local file x.pyth"), report_of(item), repo_id="org/name"
    )
    assert "model-index" not in metadata(text)  # leaderboards take it for this file's own
    assert "not proven" in text
    measured = card(
        item,
        config_of(item, source="local file x.pyth"),
        report_of(item),
        repo_id="org/name",
        measured=evaluated(item),
    )
    results = metadata(measured)["model-index"][0]["results"]
    names = [m["name"] for r in results for m in r["metrics"]]
    assert "top-1 (published for the zoo's own file)" in names
    assert "top-1 (measured on 99 of 100 videos)" in names
    known = config_of(item, source="local file x.pyth", vouched_by="a public log")
    assert "(published)" in card(item, known, report_of(item), repo_id="org/name")


def test_drawn_weights_are_said_to_be_drawn_before_all_else():
    item = ptv_hub.entry("x3d_m")
    report = report_of(item, caution="weights of x3d_m drawn by tools/draw.py, not trained")
    text = card(item, config_of(item), report, repo_id="org/name")
    assert text.index("**Beware: weights of x3d_m drawn") < text.index("## Use")


def test_only_what_verify_found_is_said_to_be_verified():
    text = written(ptv_hub.entry("x3d_m"))
    assert "| keys | keys | holds |" in text
    assert "| tensors | digest | unknown |" in text
    assert "| accuracy | accuracy | not checked |" in text
    assert text.count("holds |") == 1


def test_a_stated_licence_of_the_weights_is_the_cards():
    item = ptv_hub.entry("x3d_m")
    free = item.model_copy(update={"license": License(code="MIT", weights="CC-BY-4.0")})
    told = metadata(written(free))
    assert told["license"] == "cc-by-4.0"
    assert "license_link" not in told


def test_metadata_that_the_hub_would_not_take_are_refused():
    text = written(ptv_hub.entry("x3d_m"))
    for wrong in (
        text.replace("- kinetics400", "- not a data set", 1),
        text.replace("model-index:\n- name: x3d_m\n", "model-index:\n- title: x3d_m\n", 1),
        text.replace("tags:\n", "tags:\n- 'a tag <b>'\n", 1),
        text.replace("---\n", "---\n: [", 1),
    ):
        assert wrong != text
        with pytest.raises(ManifestError, match="would not take"):
            require_valid(wrong)


def test_an_entry_without_published_figures_has_a_card_too():
    bare = ptv_hub.entry("x3d_m").model_copy(
        update={"published": None, "labels": (), "paper": None, "errata": ()}
    )
    text = written(bare, chart=False)
    require_valid(text)
    assert "model-index" not in metadata(text)
    assert "## Results" not in text


def own_entry() -> Entry:
    """A model of one's own: in no zoo, nothing published, a licence with a note."""
    return ptv_hub.entry("x3d_m").model_copy(
        update={
            "name": "gestures",
            "dataset": "my_gestures",
            "config": "gestures.yaml",
            "source": "/home/someone/runs/gestures.yaml",
            "num_classes": 3,
            "labels": ("wave", "a|b", "point"),
            "published": None,
            "errata": (),
            "paper": None,
            "license": License(code="MIT", note="Fine-tuned from x3d_m."),
        }
    )


def test_of_a_model_of_ones_own_only_its_own_facts_are_told():
    item = own_entry()
    config = config_of(item, source="local file mine.pyth")
    text = card(item, config, report_of(item), repo_id="org/name")
    require_valid(text)
    for untrue in ("zoo", "PySlowFast", "public sources", "published", "/home/someone", "..."):
        assert untrue not in text.split("---\n", 2)[2], untrue
    assert "X3D M 16x5, trained for my_gestures (3 classes). Source: gestures.yaml" in text
    assert "Fine-tuned from x3d_m." in text
    assert "Code: MIT. Weights: not stated by their owners." in text
    assert "Nobody has stated how accurate it is" in text
    measured = evaluated(item)
    told = card(item, config, report_of(item), repo_id="org/name", measured=measured)
    assert "The measured accuracy is the one of 30 views a video." in told
    assert "than the published one" not in told


def test_bibtex_is_complete_and_keyed_by_author_and_year():
    papers = {bibtex(item.paper) for item in entries()}
    assert len(papers) == len({item.paper.title for item in entries()})
    for text in papers:
        assert re.match(r"@misc\{[a-z]+20\d\d,\n", text)
        assert set(re.findall(r"^  (\w+) ", text, re.MULTILINE)) == {
            "title",
            "author",
            "year",
            "url",
        }
        assert text.count("{") == text.count("}")
    assert "Xiaolong Wang and Ross Girshick" in bibtex(ptv_hub.entry("c2d_r50").paper)


def test_the_config_gives_the_entry_back():
    for item in entries():
        again = HubConfig.model_validate(json.loads(config_of(item).model_dump_json()))
        restored = again.restored("hf-hub:org/name@main")
        assert restored.model_copy(update={"artifacts": item.artifacts, "digest": None}) == item
        assert restored.artifacts[1:] == item.artifacts
        # What comes from the Hub and goes there again does not name the Hub as its source.
        assert config_of(restored).entry["artifacts"] == again.entry["artifacts"]


# ---------------------------------------------------------------------------- the chart


@pytest.mark.parametrize("dataset", ["kinetics400", "ssv2", "charades"])
def test_the_chart_shows_every_model_where_its_figures_are(dataset):
    items = [item for item in entries() if item.dataset == dataset]
    found = chart.accuracy_against_flops(items, highlight=items[0].name)
    assert [point.name for point in found.points] == [item.name for item in items]
    assert [p.name for p in found.points if p.highlighted] == [items[0].name]
    drawn = chart.svg(found, "chart")
    for picture, fewer in ((drawn.wide, False), (drawn.narrow, len(items) > 6)):
        marks = re.findall(r'<g data-name="(\w+)">(.*?)(?=<g data-name|\Z)', picture, re.DOTALL)
        places = {n: re.search(r'<use [^>]*x="([\d.]+)" y="([\d.]+)"', m) for n, m in marks}
        names = [item.name for item in items]
        by_cost = sorted(names, key=lambda name: float(places[name][1]))
        assert by_cost == [i.name for i in sorted(items, key=lambda i: i.published.gflops)]
        by_accuracy = sorted(names, key=lambda name: -float(places[name][2]))
        assert by_accuracy == [i.name for i in sorted(items, key=chart.accuracy)]
        named = {name for name, mark in marks if f">{name}</text>" in mark}
        assert named == {p.name for p in found.points if p.in_front or p.highlighted or not fewer}


def test_the_line_joins_the_models_that_none_is_better_than_at_their_cost():
    items = [item for item in entries() if item.dataset == "kinetics400"]
    front = [point.name for point in chart.accuracy_against_flops(items).front]
    assert front[:4] == ["x3d_xs", "x3d_s", "x3d_m", "x3d_l"]
    assert front[4:] == ["slowfast_r101", "slowfast_16x8_r101_50_50"]


def test_no_two_names_of_a_picture_overlap():
    items = [item for item in entries() if item.dataset == "kinetics400"]
    found = chart.accuracy_against_flops(items)
    made = figure.figure_of(lambda size: chart._figure(found, size), chart.WIDE)
    made.draw_without_rendering()
    boxes = [text.get_window_extent() for text in made.axes[0].texts]
    assert len(boxes) == len(items)
    for n, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[n + 1 :])


def test_the_picture_is_an_image_and_the_same_each_time():
    items = [item for item in entries() if item.dataset == "kinetics400"]
    drawn = chart.accuracy_against_flops(items, highlight="x3d_m")
    picture = chart.png(drawn)
    size = (2 * chart.WIDE.width, 2 * chart.WIDE.height)
    assert Image.open(io.BytesIO(picture)).size == size
    assert picture == chart.png(drawn)
    links = {item.name: f"models/{item.name}.html" for item in items}
    page = chart.svg(drawn, "chart", links=links)
    assert page == chart.svg(drawn, "chart", links=links)
    assert 'href="models/x3d_m.html"' in page.narrow
    assert chart.accuracy_against_flops([]) is None


def test_the_card_names_only_commands_and_functions_that_exist():
    text = written(ptv_hub.entry("x3d_m"))
    for command in re.findall(r"^ptv-hub (\w+)", text, re.MULTILINE):
        assert command in get_command(app).commands
    for name in set(re.findall(r"ptv_hub\.(\w+)\(", text)):
        assert callable(getattr(ptv_hub, name))


@pytest.mark.parametrize("name", ["publish.md", "export.md"])
def test_the_docs_name_only_options_that_exist(name):
    text = (ROOT / "docs" / name).read_text()
    lines = re.findall(r"^ptv-hub (?:--manifest \S+ )?(\w+)(.*)$", text, re.MULTILINE)
    assert len(lines) >= 3
    for command, rest in lines:
        known = {o for p in get_command(app).commands[command].params for o in p.opts}
        assert set(re.findall(r" (--?[a-z-]+)", rest.split("#")[0])) <= known, command


# ---------------------------------------------------------------------------- measured


def evaluated(item: Entry, **facts: object) -> EvalResult:
    """An evaluation of the weights of ``config_of``, of 99 of 100 videos."""
    told = {
        "model": item.name,
        "dataset": item.dataset,
        "metric": item.protocol.metric,
        "metrics": Metrics(top1=75.25, top5=92.5),
        "counts": Counts(listed=100, scored=99, failed=1, pending=0),
        "differs": ("1 of 100 videos has no score",),
        "protocol": item.protocol,
        "weights_digest": "b" * 64,
        "videos_digest": "d" * 64,
        "dtype": "float32",
        **facts,
    }
    # Not all of its fields: the card reads those above.
    return EvalResult.model_construct(**{"cautions": (), **told})


def test_measured_results_stand_beside_the_published_ones_with_their_protocol():
    from huggingface_hub import ModelCard

    item = ptv_hub.entry("x3d_m")
    text = card(
        item, config_of(item), report_of(item), repo_id="org/name", measured=evaluated(item)
    )
    require_valid(text)
    found = {r.metric_name: r for r in ModelCard(text).data.eval_results}
    assert found["top-1 (published)"].metric_value == item.published.top1
    measured = found["top-1 (measured on 99 of 100 videos)"]
    assert measured.metric_value == 75.25
    assert measured.metric_args["num_clips"] == 10
    assert "99 scored of 100 listed, 1 failed" in text
    assert "- 1 of 100 videos has no score" in text
    assert "| top-1 % | 75.25 |" in text
    assert "not measured anew" not in text


@pytest.mark.parametrize("other", [{"weights_digest": "e" * 64}, {"model": "x3d_s"}])
def test_results_of_other_weights_are_refused(other):
    item = ptv_hub.entry("x3d_m")
    with pytest.raises(UsageError, match="not of these weights"):
        card(
            item,
            config_of(item),
            report_of(item),
            repo_id="org/name",
            measured=evaluated(item, **other),
        )
