"""The list of all models: a chart for each data set, then what to search, filter and sort."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ptv_hub._version import __version__
from ptv_hub.pages.figure import Drawn, Size
from ptv_hub.pages.page import render
from ptv_hub.publish.chart import WIDE, accuracy_against_flops, svg
from ptv_hub.publish.site.model import verdict
from ptv_hub.verification.records import Check
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.facts import METRICS

SMALL = Size(400, 250)
"""Of all charts but the first."""

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


def index_page(
    items: Sequence[Entry], checks: Mapping[str, list[Check]], files: Mapping[str, str]
) -> str:
    """The page; ``files`` are the addresses of the models' own pages, by name."""
    return render(
        "site_list.html",
        title="The PyTorchVideo / PySlowFast model zoo",
        charts=_charts(items, files),
        datasets=tuple(dict.fromkeys(item.dataset for item in items)),
        archs=tuple(dict.fromkeys(item.arch for item in items)),
        columns=COLUMNS,
        models=[_model(item, checks[item.name], files[item.name]) for item in items],
        version=__version__,
    )


def _charts(items: Sequence[Entry], files: Mapping[str, str]) -> list[dict[str, Drawn | str]]:
    """A chart for each data set and metric; the one of the most models first, and largest."""
    groups = dict.fromkeys((item.dataset, item.protocol.metric) for item in items)
    known = []
    for dataset, metric in groups:
        peers = [i for i in items if (i.dataset, i.protocol.metric) == (dataset, metric)]
        chart = accuracy_against_flops(peers)
        if chart is not None:
            known.append((dataset, chart))
    known.sort(key=lambda pair: -len(pair[1].points))
    told = (
        ". The line joins the models that none is better than at their cost; a point leads to its"
        " model's page."
    )
    return [
        {
            "drawn": svg(chart, f"chart-{n}", wide=SMALL if n else WIDE, links=files),
            "caption": f"{dataset}, as published{'' if n else told}",
        }
        for n, (dataset, chart) in enumerate(known)
    ]


def _model(item: Entry, checks: Sequence[Check], address: str) -> dict[str, object]:
    kinds = list(COLUMNS.values())[1:]
    return {
        "name": item.name,
        "dataset": item.dataset,
        "arch": item.arch,
        "address": address,
        "cells": list(zip(kinds, _cells(item, checks), strict=True)),
    }


def _cells(item: Entry, checks: Sequence[Check]) -> list[tuple[str, str | float]]:
    """Of each column but the first what is shown, and what it is sorted by."""
    published, starred = item.published, {erratum.field for erratum in item.errata}

    def figure(field: str) -> tuple[str, str | float]:
        value = getattr(published, field, None)
        if value is None:
            return "", -1.0
        star = "*" if f"published.{field}" in starred else ""
        return f"{value:.2f}{star}", value

    return [
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


def _with_metric(item: Entry, shown: tuple[str, str | float]) -> tuple[str, str | float]:
    """The accuracy, and what it is where it is no top-1."""
    metric = METRICS[item.protocol.metric]
    return shown if metric == "top-1" or not shown[0] else (f"{shown[0]} {metric}", shown[1])
