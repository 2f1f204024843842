"""Records in a notebook: short, escaped, as pictures and as data; and the example of it."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from io import BytesIO

import pytest
import torch
from PIL import Image

import ptv_hub
from ptv_hub.errors import MissingExtra, UsageError
from ptv_hub.evaluation.result import ClassResult, Comparison, Counts, EvalResult, Metrics
from ptv_hub.inference.features import Features
from ptv_hub.inference.predict import ClassScore, Moment, Prediction
from ptv_hub.verification.records import Check, VerifyReport
from tests import ROOT

BEST = (
    ClassScore(label="<b>jump", index=3, score=0.75),
    ClassScore(label="$x$", index=1, score=0.2),
)


def prediction(**facts: object) -> Prediction:
    told = {"video": "some/where/a.mp4", "model": "x3d_s", "dataset": "kinetics400"}
    asked = {"views": "2x1", "clip_sampling": "release", "activation": "softmax"}
    return Prediction(
        **{**told, **asked, "predictions": BEST, "ensemble": "mean", "duration": 4.0, **facts}
    )


TIMELINE = tuple(
    Moment(start=2.0 * n, end=2.0 * n + 2, predictions=BEST[n:], scores=(0.7, 0.1)) for n in (0, 1)
)


def features(**outputs: torch.Tensor) -> Features:
    rows = len(next(iter(outputs.values())))
    return Features(
        video="a.mp4",
        model="x3d_s",
        outputs=outputs,
        start=tuple(float(n) for n in range(rows)),
        end=tuple(float(n + 1) for n in range(rows)),
        frames=((0,),) * rows,
        rate=30.0,
        views="windows",
        duration=float(rows),
        notes=(),
    )


def result(metric: str, value: float | None, classes: tuple[ClassResult, ...]) -> EvalResult:
    row = Comparison(
        metric=metric, published=70.0, measured=value, difference=None, comparable=False,
        low=None if value is None else value - 2, high=None if value is None else value + 2,
    )  # fmt: skip
    scored = 0 if value is None else 9
    # Not all of its fields: these are what a notebook shows.
    return EvalResult.model_construct(
        model="x3d_s", dataset="kinetics400", metric=metric, metrics=Metrics(**{metric: value}),
        counts=Counts(listed=10, scored=scored, failed=10 - scored, pending=0),
        comparisons=(row,), differs=("<i>other views",), cautions=(), classes=classes,
    )  # fmt: skip


CLASSES = (
    ClassResult(index=0, label="jump", videos=9, value=50.0),
    ClassResult(index=1, label="run", videos=0, value=None),
)
REPORT = VerifyReport(
    name="x3d_s",
    dataset="kinetics400",
    checks=(Check(level="spec", name="a<b", verdict="holds"),),
    environment={},
)

SHOWN = [
    (ptv_hub.entry("x3d_s"), "<Entry x3d_s: X3D S 13x6, kinetics400>", "73.33"),
    (prediction(), "<Prediction a.mp4: <b>jump 0.750 (x3d_s, 2x1)>", "&lt;b&gt;jump"),
    (prediction(predictions=()), "<Prediction a.mp4: no class (x3d_s, 2x1)>", "a.mp4"),
    (
        prediction(timeline=TIMELINE),
        "<Prediction a.mp4: <b>jump 0.750 (x3d_s, 2x1, 2 clips)>",
        "75.0 %",
    ),
    (
        features(embedding=torch.ones(3, 4)),
        "<Features a.mp4: embedding (3, 4) (x3d_s, windows)>",
        "3 x 4",
    ),
    (
        result("top1", 60.0, CLASSES),
        "<EvalResult x3d_s on kinetics400: top-1 60.00 over 9 of 10 videos>",
        "58.00 to 62.00",
    ),
    (
        result("mean_average_precision", None, ()),
        "<EvalResult x3d_s on kinetics400: no number over 0 of 10 videos>",
        "&lt;i&gt;other views",
    ),
    (REPORT, f"<VerifyReport x3d_s: {REPORT.claim}>", "a&lt;b"),
]


@pytest.mark.parametrize(("record", "short", "said"), SHOWN, ids=[short for _, short, _ in SHOWN])
def test_a_record_is_short_in_a_line_and_a_table_in_a_notebook(record, short, said):
    assert repr(record) == str(record) == short
    page = record._repr_html_()
    assert said in page
    assert "<b>" not in page
    assert "<i>" not in page


PLOTTED = [
    *(prediction(), prediction(predictions=()), prediction(timeline=TIMELINE)),
    prediction(timeline=(), predictions=()),
    *(features(embedding=torch.rand(n, 4)) for n in (0, 1, 5)),
    features(**{"stage3:maps": torch.rand(2, 1, 3, 2, 2, 2)}),
    *(result("top1", 60.0, CLASSES), result("top1", None, ())),
    result("mean_average_precision", 31.0, CLASSES),
]


@pytest.mark.parametrize("record", PLOTTED, ids=repr)
def test_a_record_is_a_picture(record):
    made = record.plot()
    with Image.open(BytesIO(made._repr_png_())) as picture:
        assert picture.size == tuple(round(2 * 72 * side) for side in made.get_size_inches())
        assert len(set(picture.convert("RGB").getdata())) > 5


def test_a_prediction_as_data():
    frame = prediction(timeline=TIMELINE).to_pandas()
    assert list(frame) == ["video", "start", "end", "rank", "label", "index", "score"]
    assert frame["rank"].tolist() == [1, 2, 1, 2, 1]
    assert frame["label"].tolist() == ["<b>jump", "$x$", "<b>jump", "$x$", "$x$"]
    assert math.isnan(frame["start"][0])
    assert frame["start"].tolist()[2:] == [0.0, 0.0, 2.0]
    empty = prediction(predictions=()).to_pandas()
    assert (list(empty), len(empty)) == (list(frame), 0)


def test_features_as_data():
    values = torch.arange(6.0).reshape(2, 3)
    maps = torch.rand(2, 1, 3, 2, 2, 2)
    frame = features(embedding=values, **{"stage3:maps": maps}).to_pandas()
    assert list(frame) == ["start", "end", "embedding_0", "embedding_1", "embedding_2"]
    assert frame["embedding_2"].tolist() == [2.0, 5.0]
    assert frame["end"].tolist() == [1.0, 2.0]
    assert len(features(embedding=torch.empty(0, 3)).to_pandas()) == 0
    with pytest.raises(UsageError, match="no table"):
        features(**{"stage3:maps": maps}).to_pandas()


def test_an_evaluation_as_data():
    frame = result("top1", 60.0, CLASSES).to_pandas()
    assert list(frame) == ["index", "label", "videos", "value"]
    assert frame["value"].tolist()[0] == 50.0
    assert math.isnan(frame["value"][1])
    failed = result("top1", None, ()).to_pandas()
    assert (list(failed), len(failed)) == (list(frame), 0)


@pytest.mark.parametrize(("package", "extra"), [("pandas", "pandas"), ("matplotlib", "plot")])
def test_what_is_not_installed_is_named(package, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    for record in (prediction(), features(embedding=torch.ones(1, 2)), result("top1", None, ())):
        with pytest.raises(MissingExtra) as caught:
            record.to_pandas() if package == "pandas" else record.plot()
        assert f"ptv_hub[{extra}]" in caught.value.fix


# ---------------------------------------------------------------------------- the example

NOTEBOOK = ROOT / "examples" / "quickstart.ipynb"
RUN = """
import ast, json, sys
scope = {"__name__": "__main__"}
for cell in json.load(open(sys.argv[1]))["cells"]:
    if cell["cell_type"] != "code":
        continue
    body = ast.parse("".join(cell["source"])).body
    if "network" in cell["metadata"].get("tags", ()):
        continue
    last = body.pop() if isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), cell["id"], "exec"), scope)
    if last is not None:
        shown = eval(compile(ast.Expression(last.value), cell["id"], "eval"), scope)
        kinds = [k for k in ("_repr_html_", "_repr_png_") if hasattr(shown, k)]
        print(cell["id"], type(shown).__name__, *(len(getattr(shown, k)() or "") for k in kinds))
"""
"""Runs a notebook's cells as its kernel would, and shows what each ends with."""


def test_the_quickstart_runs(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN, str(NOTEBOOK)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shown = [line.split()[1] for line in done.stdout.splitlines()]
    assert shown == [
        *("Entry", "NoneType", "Prediction", "ShownFigure", "DataFrame"),
        *("NoneType", "Features", "ShownFigure", "DataFrame"),
        *("EvalResult", "ShownFigure", "DataFrame", "VerifyReport"),
    ]
    assert "24/24" in done.stderr  # the bar of predict
    assert (tmp_path / "quickstart" / "motion.html").stat().st_size < 1_000_000


def test_the_quickstart_holds_no_output_and_tells_what_needs_a_network():
    cells = [c for c in json.loads(NOTEBOOK.read_text())["cells"] if c["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells)
    assert [c["metadata"].get("tags", []) for c in cells[-2:]] == [[], ["network"]]
