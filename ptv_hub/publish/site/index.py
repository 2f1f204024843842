"""The list of all models: to search, filter and sort, and a chart for each data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ptv_hub._version import __version__
from ptv_hub.html import Html, element, escape, page
from ptv_hub.publish.chart import accuracy_against_flops, svg
from ptv_hub.publish.site.model import verdict
from ptv_hub.publish.site.style import LIST_SCRIPT, STYLE
from ptv_hub.verification.records import Check
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.facts import METRICS


def index_page(
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
        style=STYLE,
        script=LIST_SCRIPT,
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
        (verdict(checks), verdict(checks)),
    ]


def _breakable(name: str) -> Html:
    """A name that narrow columns break behind underscores, not anywhere."""
    return Html(escape(name).replace("_", "_<wbr>"))


def _with_metric(item: Entry, shown: tuple[str, str | float]) -> tuple[str, str | float]:
    """The accuracy, and what it is where it is no top-1."""
    metric = METRICS[item.protocol.metric]
    return shown if metric == "top-1" or not shown[0] else (f"{shown[0]} {metric}", shown[1])


def _foot() -> Html:
    return element(
        "p",
        "* a figure of the published table that does not hold when it is counted anew; the model's"
        f" page says what was found. Written by ptv_hub {__version__}.",
        class_="note",
    )
