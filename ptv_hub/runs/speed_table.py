"""How fast every model runs on this machine: a file a model, then one table, also as a picture.

Each model is measured in a process of its own, so that memory is bounded by the largest one. What
was measured with the same settings on the same machine before is not measured again.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ptv_hub import environment
from ptv_hub.datasets.calibration import VIEWS, calibration
from ptv_hub.engines import processor
from ptv_hub.engines.measure import Killed, end_with_parent
from ptv_hub.errors import MissingExtra, PtvHubError
from ptv_hub.files import ready_folder, write_text
from ptv_hub.inference.speed import bench
from ptv_hub.markdown import table
from ptv_hub.pages.figure import require_matplotlib, styled
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.names import file_name
from ptv_hub.zoo.records import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMAT = 1


class Settings(Record):
    """What a measurement depends on."""

    backends: tuple[str, ...]
    """Empty for all but ``compile``."""
    dtypes: tuple[str, ...] = ("fp32",)
    batch_views: int = 3
    calls: int = 10
    device: str = "auto"
    threads: int | None = None
    keep_memory: bool = True
    calibrate: str | None = None
    """What int8 is calibrated on."""
    calibrate_views: int = VIEWS
    calibrate_seed: int = 0


@dataclass(frozen=True)
class Table:
    """What there is in a folder."""

    machine: dict[str, str]
    models: tuple[dict[str, Any], ...]
    """Of each model ``model``, ``rows`` and ``failures``."""
    files: tuple[Path, ...]


def measure_all(
    items: Sequence[Entry],
    out: Path,
    settings: Settings,
    report: Callable[[str], None] = lambda told: None,
) -> Table:
    """Measure every model of some that is not measured yet, and write the table.

    Returns:
        The table; ``bench.json`` and ``bench.md`` are written into the folder after each model and,
        with the extra ``plot``, ``bench.png`` at the end.

    Raises:
        UsageError: no such backend or device.
        WriteError: the folder cannot be written.
    """
    ready_folder(out)
    parts = out / "models"
    ready_folder(parts)
    here = machine()
    found: list[dict[str, Any]] = []
    files: list[Path] = []
    for number, item in enumerate(items, 1):
        path = parts / f"{file_name(item.name)}.json"
        known = _known(path, settings, here)
        report(f"[{number}/{len(items)}] {item.name}{': measured before' if known else ''}")
        if known is None:
            known = _alone(item, settings, here)
            if not known["ended"]:
                write_text(path, json.dumps(known, indent=2) + "\n")
        for failure in known["failures"]:
            report(failure)
        found.append(known)
        files = _write(out, here, settings, found, len(items))  # a run that is ended has a table
    try:
        files.append(_picture(out / "bench.png", here, found))
    except MissingExtra as error:
        report(str(error))
    return Table(here, tuple(found), tuple(files))


def machine() -> dict[str, str]:
    """What the numbers depend on, for whoever compares tables of several machines."""
    told = {
        **environment.versions("torch", "openvino", "nncf"),
        **environment.system(),
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "bf16": str(processor.computes_bf16(torch.device("cpu"))),
        "int8": str(processor.computes_int8()),
    }
    if torch.cuda.is_available():
        told["gpu"] = torch.cuda.get_device_name()
    return told


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return environment.system()["platform"]
    lines = [line for line in text.splitlines() if line.startswith("model name")]
    return lines[0].partition(":")[2].strip() if lines else "unknown"


def _known(path: Path, settings: Settings, here: dict[str, str]) -> dict[str, Any] | None:
    """What was measured of a model before, if it was so here."""
    try:
        known: dict[str, Any] = json.loads(path.read_text())
        same = Settings.model_validate(known["settings"]) == settings and known["machine"] == here
        return known if same and known["format"] == FORMAT else None
    except (OSError, ValueError, KeyError, TypeError):  # not there, or not of this command
        return None


def _alone(item: Entry, settings: Settings, here: dict[str, str]) -> dict[str, Any]:
    """One model, measured by a process that ends with it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(theirs, item, settings))
    process.start()
    theirs.close()
    rows: list[dict[str, Any]] | PtvHubError = []
    try:
        rows, failures, ended = ours.recv()
    except EOFError:  # killed, as where the memory is too small for it: tried again next time
        process.join()
        failures, ended = [f"{item.name}: ended with {process.exitcode}"], True
    finally:
        ours.close()
    process.join()
    if isinstance(rows, PtvHubError):
        raise rows
    return {
        "format": FORMAT,
        "model": item.name,
        "date": str(date.today()),
        "settings": settings.model_dump(mode="json"),
        "machine": here,
        "rows": rows,
        "failures": failures,
        "ended": ended,
    }


def _child(connection: Any, item: Entry, settings: Settings) -> None:
    end_with_parent()
    views = None
    try:
        if settings.calibrate is not None:
            views = calibration(
                item,
                settings.calibrate,
                views=settings.calibrate_views,
                seed=settings.calibrate_seed,
            )
        found = bench(
            item,
            settings.backends or None,
            settings.dtypes,
            batch_views=settings.batch_views,
            calls=settings.calls,
            device=settings.device,
            threads=settings.threads,
            keep_memory=settings.keep_memory,
            calibration=views,
        )
    except PtvHubError as error:
        connection.send((error, [], False))
        return
    ended = any(isinstance(one, Killed) for one in found.failures)
    connection.send((list(found.rows), [str(one) for one in found.failures], ended))


# ---------------------------------------------------------------------------- the table


def _write(
    out: Path, here: dict[str, str], settings: Settings, found: list[dict[str, Any]], total: int
) -> list[Path]:
    """The table of what was measured so far, as data and to be read. Raises WriteError."""
    told = {
        "format": FORMAT,
        "date": str(date.today()),
        "machine": here,
        "settings": settings.model_dump(mode="json"),
        "total": total,
        "models": [
            {key: one[key] for key in ("model", "date", "rows", "failures")} for one in found
        ],
    }
    files = [out / "bench.json", out / "bench.md"]
    write_text(files[0], json.dumps(told, indent=2) + "\n")
    write_text(files[1], _markdown(here, settings, found, total))
    return files


def times_faster(rows: Sequence[dict[str, Any]]) -> list[float | None]:
    """Of each row how many times its views a second are those of the eager model in the rows."""
    eager = [row["views_per_second"] for row in rows if row["backend"] == "eager"]
    return [row["views_per_second"] / eager[0] if eager else None for row in rows]


def _markdown(
    here: dict[str, str], settings: Settings, found: list[dict[str, Any]], total: int
) -> str:
    rows = []
    for one in found:
        for row, times in zip(one["rows"], times_faster(one["rows"]), strict=True):
            peak = row["peak_mb"]
            rows.append(
                [
                    one["model"],
                    f"{row['backend']}, {row['dtype']}",
                    f"{row['views_per_second']:.3g}",
                    "" if times is None else f"{times:.2f}",
                    _milliseconds(row["median_ms"]),
                    _milliseconds(row["first_call_ms"]),
                    "" if peak is None else f"{peak:.0f}",
                    f"{row['difference']:.0e}",
                ]
            )
    so_far = f"{len(found)} of {total} models; the same command goes on."
    columns = ["model", "run as", "views/s", "times eager", "median ms", "first ms", "peak MB"]
    lines = [
        "# How fast the zoo's models run on one machine",
        "",
        f"Views at once: {settings.batch_views}; threads: {settings.threads or 'all'}; calls: "
        f"{settings.calls}, of which the median. Drawn weights; differences are of scores, from "
        f"each model's first line. `ptv-hub bench --all`, {date.today()}.",
        "",
        *([so_far, ""] if len(found) < total else []),
        table(["of the machine", ""], [[key, value] for key, value in here.items()]),
        "",
        table([*columns, "difference"], rows),
    ]
    failures = [failure for one in found for failure in one["failures"]]
    if failures:
        lines += ["", "Could not be measured:", ""]
        lines += [f"- {' '.join(failure.split())}" for failure in failures]
    return "\n".join(lines) + "\n"


def _milliseconds(value: float) -> str:
    return f"{value:.4g}" if value < 1000 else f"{value:.0f}"


def _picture(path: Path, here: dict[str, str], found: list[dict[str, Any]]) -> Path:
    """Bars of views a second, on a logarithmic scale. Raises MissingExtra."""
    require_matplotlib("the picture")
    from matplotlib.figure import Figure

    kinds = list(
        dict.fromkeys(f"{row['backend']}, {row['dtype']}" for one in found for row in one["rows"])
    )
    with styled():
        figure = Figure(figsize=(10, 2 + 0.25 * max(1, len(kinds)) * max(1, len(found))))
        _drawn(figure.subplots(), here, found, kinds)
        figure.tight_layout()
        figure.savefig(path, dpi=120)
    return path


def _drawn(axes: Axes, here: dict[str, str], found: list[dict[str, Any]], kinds: list[str]) -> None:
    from matplotlib.ticker import LogFormatter

    height = 0.8 / max(1, len(kinds))
    for place, kind in enumerate(kinds):
        values = [
            next(
                (
                    row["views_per_second"]
                    for row in one["rows"]
                    if f"{row['backend']}, {row['dtype']}" == kind
                ),
                0,
            )
            for one in found
        ]
        at = [number + place * height for number in range(len(found))]
        axes.barh(at, values, height, label=kind)
    axes.set_yticks([n + 0.4 - height / 2 for n in range(len(found))])
    axes.set_yticklabels([one["model"] for one in found])
    axes.margins(y=0.01)
    axes.invert_yaxis()
    axes.set_xscale("log")
    # The axis' own labels are formulas, which pages' figures write as they stand.
    axes.xaxis.set_major_formatter(LogFormatter())
    axes.xaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1, 0.4)))
    axes.set_xlabel("views a second")
    axes.set_title(f"{here['processor']}, {here['cores']} cores", fontsize=9)
    if kinds:
        axes.legend(fontsize=8)
