"""The whole manifest as static pages: a table to sort and filter, charts, a page for each model.

Every figure is the manifest's, and marked as published; parameters and FLOPs are counted anew
for the pages, which say what came of it. Of weights they claim nothing: nobody looked at any.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path

from ptv_hub._version import __version__
from ptv_hub.card import bibtex
from ptv_hub.chart import METRICS, accuracy_against_flops, svg
from ptv_hub.entry import Entry
from ptv_hub.errors import WriteError
from ptv_hub.files import atomic_write
from ptv_hub.html import Html, element, page, table
from ptv_hub.verification import Check
from ptv_hub.verification.records import VERDICTS
from ptv_hub.verification.spec import check_spec

__all__ = ["write_site"]


def write_site(
    items: Sequence[Entry],
    out: str | os.PathLike[str],
    *,
    report: Callable[[int, str], None] | None = None,
) -> list[Path]:
    """Write ``index.html`` and ``models/NAME.html`` of all entries into a folder; their paths.

    ``report`` is told the number and name of each model whose figures are being counted.

    Raises:
        WriteError: the folder cannot be written.
    """
    out = Path(out)
    try:
        (out / "models").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError.because(error, out) from error
    files = _file_names(items)
    checks: dict[str, list[Check]] = {}
    for number, item in enumerate(items, 1):
        if report is not None:
            report(number, item.name)
        checks[item.name] = check_spec(item)
    pages = {out / "index.html": _index(items, checks, files)}
    for item in items:
        pages[out / files[item.name]] = _model(item, checks[item.name])
    for path, text in pages.items():
        with atomic_write(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return list(pages)


def _file_names(items: Sequence[Entry]) -> dict[str, str]:
    """Name of an entry -> address of its page; names of one's own manifest may hold anything."""
    found: dict[str, str] = {}
    for item in items:
        stem = re.sub(r"[^A-Za-z0-9._-]", "_", item.name)
        taken = {address.casefold() for address in found.values()}
        while f"models/{stem}.html".casefold() in taken:
            stem += "_"
        found[item.name] = f"models/{stem}.html"
    return found


# ---------------------------------------------------------------------------- the list


def _index(
    items: Sequence[Entry], checks: Mapping[str, list[Check]], files: Mapping[str, str]
) -> str:
    note = (
        "Accuracies (top-1 where nothing else is said), GFLOPs of one view and parameters are those"
        " of the published table. What the last column"
        " says was counted anew from the architectures for this page. No weights were looked at;"
        " ptv-hub verify does that."
    )
    charts = []
    groups = dict.fromkeys((item.dataset, item.protocol.metric) for item in items)
    for dataset, metric in groups:
        peers = [i for i in items if (i.dataset, i.protocol.metric) == (dataset, metric)]
        chart = accuracy_against_flops(peers)
        if chart is not None:
            drawn = Html(svg(chart, links=files))
            caption = element("figcaption", f"{dataset}: {chart.y_title}, against {chart.x_title}")
            charts.append(element("figure", caption, drawn, class_="chart", data_set=dataset))
    return page(
        "The PyTorchVideo / PySlowFast model zoo",
        element("p", f"{len(items)} models. {note}", class_="note"),
        _filters(items),
        _list(items, checks, files),
        element("h2", "Accuracy against FLOPs"),
        *charts,
        _foot(),
        style=_STYLE,
        script=_LIST_SCRIPT,
    )


def _filters(items: Sequence[Entry]) -> Html:
    def choice(name: str, label: str, values: Sequence[str]) -> Html:
        options = [element("option", f"all {label}", value="")]
        options += [element("option", value, value=value) for value in dict.fromkeys(values)]
        return element("select", *options, id=name, aria_label=label)

    return element(
        "div",
        element(
            "input", id="search", type="search", placeholder="name, e.g. x3d", aria_label="name"
        ),
        choice("dataset", "data sets", [item.dataset for item in items]),
        choice("arch", "architectures", [item.arch for item in items]),
        element("output", f"{len(items)} models", id="count"),
        class_="filters",
    )


COLUMNS = {
    "model": "text",
    "architecture": "text extra",
    "data set": "text extra",
    "frames": "figure extra",
    "accuracy %": "figure",
    "top-5 %": "figure extra",
    "GFLOPs": "figure",
    "views": "figure extra",
    "params M": "figure",
    "counted anew": "text extra",
}
"""Column of the list -> its kind; ``extra`` ones are left out on phones."""


def _list(
    items: Sequence[Entry], checks: Mapping[str, list[Check]], files: Mapping[str, str]
) -> Html:
    head = [
        element("th", element("button", column, type="button"), class_=kind, scope="col")
        for column, kind in COLUMNS.items()
    ]
    rows = []
    for item in items:
        cells = [
            element("td", cell, class_=kind, data_value=value)
            for (cell, value), kind in zip(
                _cells(item, checks[item.name], files[item.name]), COLUMNS.values(), strict=True
            )
        ]
        facts = {"data_name": item.name, "data_set": item.dataset, "data_arch": item.arch}
        rows.append(element("tr", *cells, **facts))
    whole = element(
        "table",
        element("thead", element("tr", *head)),
        element("tbody", *rows),
        id="zoo",
    )
    return element("div", whole, class_="wide")


def _cells(item: Entry, checks: Sequence[Check], address: str) -> list[tuple[str, str | float]]:
    """Of each column what is shown, and what it is sorted by."""
    published, starred = item.published, {erratum.field for erratum in item.errata}

    def figure(field: str) -> tuple[str, str | float]:
        value = getattr(published, field, None)
        if value is None:
            return "", -1.0
        star = "*" if f"published.{field}" in starred else ""
        return f"{value:.2f}{star}", value

    return [
        (element("a", _breakable(item.name), href=address), item.name),
        (f"{item.arch} {item.depth}", f"{item.arch} {item.depth}"),
        (item.dataset, item.dataset),
        (item.frames, item.frame_length * 1000.0 + item.sample_rate),
        _with_metric(item, figure(item.protocol.metric)),
        figure("top5"),
        figure("gflops"),
        (str(item.protocol.num_views), item.protocol.num_views),
        figure("params_millions"),
        (_verdict(checks), _verdict(checks)),
    ]


def _breakable(name: str) -> Html:
    """A name that narrow columns break behind underscores, not anywhere."""
    return Html(escape(name).replace("_", "_<wbr>"))


def _with_metric(item: Entry, shown: tuple[str, str | float]) -> tuple[str, str | float]:
    """The accuracy, and what it is where it is no top-1."""
    metric = METRICS[item.protocol.metric]
    return shown if metric == "top-1" or not shown[0] else (f"{shown[0]} {metric}", shown[1])


def _verdict(checks: Sequence[Check]) -> str:
    """What came of counting, in a few words."""
    failed = [check.name for check in checks if check.verdict == "fails"]
    if failed:
        return f"does not hold: {', '.join(failed)}"
    errata = [check.name for check in checks if check.verdict == "erratum"]
    if errata:
        return f"erratum: {' and '.join(errata)}"
    return "holds" if any(check.verdict == "holds" for check in checks) else "nothing stated"


def _foot() -> Html:
    return element(
        "p",
        "* a figure of the published table that does not hold when it is counted anew; the model's"
        f" page says what was found. Written by ptv_hub {__version__}.",
        class_="note",
    )


# ---------------------------------------------------------------------------- a model


def _model(item: Entry, checks: Sequence[Check]) -> str:
    back = element("p", element("a", "all models", href="../index.html"))
    trained = f"{item.arch} {item.depth} {item.frames}, trained for {item.dataset}"
    if item.pretrain:
        trained += f", pretrained on {item.pretrain}"
    sections = [
        back,
        element("p", f"{trained}. In the zoo: {item.zoo_name} ({item.config})."),
        element("h2", "Use"),
        _code(_python(item)),
        _code(f"ptv-hub predict {item.name} video.mp4"),
        _code(f"ptv-hub fetch {item.name}\nptv-hub verify {item.name}"),
        element("h2", "Published"),
        table(["", "as published"], _published(item), right=["as published"]),
        element("h2", "Verified for this page"),
        element(
            "p", f"Counted anew: {_verdict(checks)}. No weights were looked at.", class_="note"
        ),
        _checks(checks),
        element("h2", "Input and protocol"),
        table(["", ""], _input(item)),
        element("h2", "Files"),
        table(["zoo", "file", "sha256", "who vouches for it"], _files(item)),
    ]
    if item.errata:
        sections += [element("h2", "Errata of the table"), _errata(item)]
    if item.labels:
        told = element("summary", f"{len(item.labels)} classes, in index order")
        classes = element("ol", *(element("li", label) for label in item.labels), start=0)
        sections += [element("h2", "Labels"), element("details", told, classes)]
    stated = item.license.weights or "not stated by their owners"
    sections += [
        element("h2", "Licence"),
        element("p", f"Code: {item.license.code}. Weights: {stated}. {item.license.note}"),
    ]
    if item.paper is not None:
        sections += [
            element("h2", "Paper"),
            element(
                "p", element("a", item.paper.title, href=item.paper.url), f" ({item.paper.year})"
            ),
            _code(bibtex(item.paper)),
        ]
    return page(item.name, *sections, style=_STYLE, script=_COPY_SCRIPT)


def _python(item: Entry) -> str:
    spec = item.input
    shape = f"1, 3, {spec.num_frames}, {spec.crop_size}, {spec.crop_size}"
    return "\n".join(
        [
            "import torch",
            "import ptv_hub",
            "",
            f'model = ptv_hub.load("{item.name}")  # eval mode, logits',
            f"clip = torch.zeros({shape})  # what ptv_hub.transform(model) makes of frames",
            "with torch.inference_mode():",
            f"    logits = model(clip)  # (1, {item.num_classes})",
        ]
    )


def _code(text: str) -> Html:
    return element(
        "div",
        element("button", "copy", type="button", class_="copy"),
        element("pre", element("code", text)),
        class_="code",
    )


def _published(item: Entry) -> list[tuple[str, str]]:
    published = item.published
    if published is None:
        return [("nothing", "")]
    rows = [
        (f"{told} %", f"{getattr(published, field):.2f}")
        for field, told in METRICS.items()
        if getattr(published, field) is not None
    ]
    return [
        *rows,
        ("GFLOPs of one view", f"{published.gflops:.2f}"),
        ("parameters, millions", f"{published.params_millions:.2f}"),
    ]


def _checks(checks: Sequence[Check]) -> Html:
    def found(check: Check) -> str:
        # A long address twice in a row is not easier to compare.
        return "the same" if check.expected and check.found == check.expected else check.found or ""

    rows = [
        (
            check.name,
            element("span", check.expected or "", class_="long"),
            found(check),
            check.verdict,
        )
        for check in checks
    ]
    used = dict.fromkeys(check.verdict for check in checks)
    told = "; ".join(f"{verdict}: {VERDICTS[verdict]}" for verdict in used)
    return Html(
        table(["check", "stated", "found", "verdict"], rows)
        + element("p", told + ".", class_="note")
    )


def _input(item: Entry) -> list[tuple[str, str]]:
    spec, protocol = item.input, item.protocol
    sampling = f"the middle frame of each of {spec.num_frames} segments of the video"
    if spec.clip_seconds is not None:
        sampling = (
            f"{spec.clip_seconds:.2f} s a clip, every {spec.sampling_rate} at {spec.target_fps} fps"
        )
    rows = [
        ("frames", f"{spec.num_frames} of {spec.crop_size} x {spec.crop_size} pixels"),
        ("sampling", sampling),
        (
            "values",
            f"/ 255, minus {spec.mean[0]}, over {spec.std[0]}, {spec.channel_order.upper()}",
        ),
        ("short side", f"{spec.short_side} pixels"),
    ]
    if spec.slowfast_alpha:
        rows.append(("slow pathway", f"{spec.num_frames // spec.slowfast_alpha} of the frames"))
    views = f"{protocol.num_clips} clips x {protocol.num_crops} crops"
    rows.append(("views", f"{views}, {protocol.ensemble} over them"))
    rows.append(("scores", f"{protocol.activation} at each position of the head, then the mean"))
    return rows


def _files(item: Entry) -> list[tuple[str, ...]]:
    return [
        (
            artifact.zoo,
            element("a", artifact.path, href=artifact.url, class_="long"),
            element("code", artifact.sha256, class_="long")
            if artifact.sha256
            else "none published",
            artifact.hash_source or "",
        )
        for artifact in item.artifacts
    ]


def _errata(item: Entry) -> Html:
    rows = [(e.field, e.printed, e.found, e.reason) for e in item.errata]
    return table(["field", "printed", "found", "reason"], rows)


_STYLE = """
.filters { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; margin: 1rem 0; }
.filters input, .filters select { font: inherit; color: inherit; background: var(--sheet);
  border: 1px solid var(--line); border-radius: .4rem; padding: .45rem .6rem; min-width: 0; }
.filters input { flex: 1 1 12rem; }
.filters output { color: var(--faint); }
main { max-width: 1240px; }
#zoo { width: 100%; }
#zoo td { white-space: nowrap; }
#zoo th { position: sticky; top: 0; background: var(--paper); padding: 0; }
#zoo th button { font: inherit; font-weight: 600; color: inherit; background: none; border: 0;
  padding: .45rem .5rem; width: 100%; text-align: inherit; cursor: pointer; white-space: nowrap; }
#zoo th[aria-sort] button { color: var(--text); }
#zoo th[aria-sort="ascending"] button::after { content: " \\2191"; }
#zoo th[aria-sort="descending"] button::after { content: " \\2193"; }
#zoo td { padding: .4rem .5rem; }
#zoo tbody tr:hover { background: var(--sheet); }
.chart { max-width: 860px; }
.chart a { text-decoration: none; }
.chart a:hover text, .chart a:focus text { text-decoration: underline; }
.long, p, li { overflow-wrap: anywhere; }
.code { position: relative; margin: .6rem 0; }
.code pre { margin: 0; padding: .8rem 4.5rem .8rem 1rem; background: var(--sheet);
  border: 1px solid var(--line); border-radius: .4rem; overflow-x: auto; }
.code .copy { position: absolute; top: .4rem; right: .4rem; font: inherit; font-size: .8rem;
  color: inherit; background: var(--paper); border: 1px solid var(--line); border-radius: .3rem;
  padding: .2rem .6rem; cursor: pointer; }
details ol { columns: 14rem; }
@media (max-width: 640px) {
  main { padding: 1rem .75rem 2rem; }
  #zoo .extra { display: none; }
  #zoo td, #zoo th button { padding: .5rem .25rem; font-size: .86rem; }
  #zoo td:first-child { white-space: normal; overflow-wrap: break-word; }
  .chart { overflow-x: auto; }
  .chart svg { min-width: 560px; }
}
"""

_LIST_SCRIPT = """
const table = document.getElementById("zoo"), body = table.tBodies[0];
const search = document.getElementById("search"), count = document.getElementById("count");
const chosen = { set: document.getElementById("dataset"), arch: document.getElementById("arch") };
function filter() {
  const wanted = search.value.trim().toLowerCase();
  const shown = new Set();
  for (const row of body.rows) {
    row.hidden = !(row.textContent.toLowerCase().includes(wanted)
      && Object.entries(chosen).every(([k, box]) => !box.value || row.dataset[k] === box.value));
    if (!row.hidden) shown.add(row.dataset.name);
  }
  for (const point of document.querySelectorAll("svg [data-name]"))
    point.style.display = shown.has(point.dataset.name) ? "" : "none";
  for (const chart of document.querySelectorAll(".chart"))
    chart.hidden = ![...chart.querySelectorAll("[data-name]")].some(p => shown.has(p.dataset.name));
  count.textContent = shown.size + (shown.size === 1 ? " model" : " models");
}
function sort(head) {
  const column = head.cellIndex, figures = head.classList.contains("figure");
  const before = head.getAttribute("aria-sort");
  const falling = before ? before === "ascending" : figures;
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", falling ? "descending" : "ascending");
  const value = row => row.cells[column].dataset.value;
  const order = (a, b) => figures ? value(a) - value(b) : value(a).localeCompare(value(b));
  const rows = [...body.rows].sort((a, b) => falling ? order(b, a) : order(a, b));
  body.append(...rows);
}
for (const head of table.tHead.rows[0].cells)
  head.querySelector("button").addEventListener("click", () => sort(head));
for (const box of [search, ...Object.values(chosen)])
  for (const event of ["input", "change"]) box.addEventListener(event, filter);
filter();
"""

_COPY_SCRIPT = """
for (const button of document.querySelectorAll(".copy"))
  button.addEventListener("click", async () => {
    const code = button.parentElement.querySelector("code");
    try { await navigator.clipboard.writeText(code.textContent); button.textContent = "copied"; }
    catch { getSelection().selectAllChildren(code); button.textContent = "selected"; }
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  });
"""
