"""Trace, write, run what was written, compare, and only then let it appear under its name."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor

from ptv_hub._version import __version__
from ptv_hub.engines.agreement import Agreement
from ptv_hub.engines.calibrated import CalibrationViews
from ptv_hub.engines.export_formats import Format, format_of
from ptv_hub.engines.export_graph import Graph, Options, example, trace
from ptv_hub.engines.export_int8 import require_int8, write_int8
from ptv_hub.engines.optimized import DTYPES, INT8
from ptv_hub.errors import ExportError, PtvHubError, WriteError
from ptv_hub.files import ready_file, refuse_existing
from ptv_hub.models.boxes import refuse_boxes
from ptv_hub.models.builders import VideoModel, activated
from ptv_hub.models.digest import digest
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.names import file_name
from ptv_hub.zoo.records import Record


class Exported(Record):
    """A file that gives the model's scores, and how near."""

    name: str
    files: tuple[str, ...]
    """The first is the one to open; OpenVINO keeps the weights in a second."""
    size: int
    """Bytes of all of them."""
    format: str
    engine: str
    """What ran it: ``onnxruntime 1.20.1``."""
    inputs: dict[str, tuple[int | str, ...]]
    """Name -> shape; ``batch`` for any number."""
    output: str
    dtype: str
    max_difference: float
    """Of a score, over all classes and views compared."""
    tolerance: float
    views: int
    """How many were compared."""
    digest: str
    """Of the weights."""
    agreement: Agreement | None = None
    """Of int8 with float32, on held-out views; it decides in place of ``tolerance``."""
    weights: str | None = None
    """Where they came from, and whether they are known to be the published ones."""


def export(
    model: VideoModel,
    out: str | os.PathLike[str] | None = None,
    *,
    to: str,
    options: Options | None = None,
    calibration: CalibrationViews | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write a model as a file for another engine, and prove that it gives the same scores.

    Args:
        model: as ``load`` returns it; it is not changed.
        out: where to; the entry's name with the format's suffix in the working directory.
        to: ``onnx``, ``torch-export`` or ``openvino``.
        options: type, batch, preprocessing, pathways, output; see ``Options``.
        calibration: of int8 what it is calibrated on and compared on.
        overwrite: replace a file of that name.

    Raises:
        UnknownName: no such format.
        UsageError: options that contradict each other or the model, or another suffix.
        MissingExtra: the engine is not installed.
        ExportError: the engine cannot run it, or gives other scores. No file is left.
        WriteError: the folder cannot be written, or there is such a file.
    """
    refuse_boxes(model.entry, "an exported model")
    target, options = format_of(to), options or Options()
    out = ready_target(target, out or default_target(model.entry, target), overwrite)
    target.require()
    views = require_int8(target, calibration) if options.dtype == INT8 else None
    compute = DTYPES[options.dtype if options.dtype in target.computes else "fp32"]
    graph = Graph(model, options, compute=compute)
    frames = example(model.entry.input, options.batch or 2)
    expected = _scores(model, graph.inputs(frames), frames, graph)
    found_digest = digest(model.state_dict())
    with _beside(out) as folder, _engine_errors(model.entry.name, target):
        written = folder / out.name
        told = _metadata(model, options, found_digest)
        near = None
        if views is None:
            target.write(graph, trace(graph), told, written)
            difference = _difference(target, written, graph, frames, expected)
            _refuse_other_scores(difference, graph, target)
        else:
            near = write_int8(
                target,
                graph,
                told,
                written,
                views,
                wanted=lambda clip: _of_clip(model, clip, graph),
                as_scores=lambda output: _as_scores(output, graph),
            )
            difference = near.max_difference
        size = sum(file.stat().st_size for file in folder.iterdir())
        names = _move(folder, out)
    batch = options.batch or "batch"
    return Exported(
        name=model.entry.name,
        files=tuple(str(out.parent / name) for name in names),
        size=size,
        format=to,
        engine=f"{target.engine} {version(target.engine)}",
        inputs={name: (batch, *shape) for name, shape in graph.input_shapes.items()},
        output=options.output,
        dtype=options.dtype,
        max_difference=difference,
        tolerance=options.tolerance,
        views=len(frames) if near is None else near.views,
        agreement=near,
        digest=found_digest,
        weights=None if model.origin is None else model.origin.told,
    )


def default_target(entry: Entry, target: Format) -> Path:
    """Where a file goes for which nobody names a place: in the working directory."""
    return Path(f"{file_name(entry.name)}{target.suffix}")


def ready_target(target: Format, out: str | os.PathLike[str], overwrite: bool) -> Path:
    """That a file can be written; asked before a model is fetched. Raises as ``export``."""
    out = Path(out)
    target.check_suffix(out)
    for path in (out, *(out.with_suffix(suffix) for suffix in target.beside)):
        refuse_existing(path, overwrite)
        ready_file(path)
    return out


def _refuse_other_scores(difference: float, graph: Graph, target: Format) -> None:
    options = graph.options
    if not difference <= options.tolerance:  # not >: a NaN is no number above it
        raise ExportError(
            f"the exported {graph.model.entry.name} gives other scores than the model",
            where=f"{target.engine} {version(target.engine)}",
            expected=f"a difference of at most {options.tolerance:g} ({options.dtype})",
            found=f"{difference:.2g}",
            fix="no file was left; try fp32, or another format",
        )


def _move(folder: Path, out: Path) -> list[str]:
    """Move what was written to where it is to be; names, first of the file that is opened."""
    names = sorted((f.name for f in folder.iterdir()), key=lambda name: name != out.name)
    # The file that is opened comes last, when what it needs is there.
    for name in reversed(names):
        os.replace(folder / name, out.parent / name)
    return names


def _scores(model: VideoModel, inputs: tuple[Tensor, ...], frames: Tensor, graph: Graph) -> Tensor:
    """The model's own output for the same frames, through its own code, in float32."""
    plain = Graph(model, Options(pathways=graph.options.pathways)).inputs(frames)
    return _of_inputs(model, plain, graph)


def _of_clip(model: VideoModel, clip: Tensor, graph: Graph) -> Tensor:
    return _of_inputs(model, graph.of_clip(clip), graph)


def _of_inputs(model: VideoModel, inputs: tuple[Tensor, ...], graph: Graph) -> Tensor:
    with torch.no_grad(), activated(model, graph.model.activation):
        scores = model(list(inputs) if len(inputs) > 1 else inputs[0])
    return _as_scores(scores, graph)


def _as_scores(output: Tensor, graph: Graph) -> Tensor:
    """Logits as scores, in which the tolerance is meant."""
    if graph.options.output == "scores":
        return output
    activation = graph.model.entry.protocol.activation
    return output.softmax(dim=1) if activation == "softmax" else output.sigmoid()


def _difference(
    target: Format, path: Path, graph: Graph, frames: Tensor, expected: Tensor
) -> float:
    """Largest difference of a score, with the batch as it is and, if it may vary, with one view."""
    run = target.open(path)
    largest = 0.0
    for count in {len(frames), graph.options.batch or 1}:
        found = _as_scores(run(graph.inputs(frames[:count])), graph)
        if found.shape != expected[:count].shape:
            raise ExportError(
                f"the exported {graph.model.entry.name} gives another shape",
                expected=tuple(expected[:count].shape),
                found=tuple(found.shape),
            )
        largest = max(largest, (found - expected[:count]).abs().max().item(), key=_nan_last)
    return largest


def _nan_last(value: float) -> tuple[bool, float]:
    return (value != value, value)


def _metadata(model: VideoModel, options: Options, found_digest: str) -> dict[str, str]:
    """What the file says of itself; every value a string, records as JSON."""
    item = model.entry
    values = "frames of uint8" if options.with_preprocessing else "a normalised clip"
    return {
        "name": item.name,
        "dataset": item.dataset,
        "labels": json.dumps(list(item.labels), ensure_ascii=False),
        "input": item.input.model_dump_json(),
        "protocol": item.protocol.model_dump_json(),
        "takes": values,
        "gives": options.output,
        "dtype": options.dtype,
        "digest": found_digest,
        "license": item.license.model_dump_json(),
        "exported_by": f"ptv_hub {__version__}, torch {torch.__version__}",
    }


@contextmanager
def _beside(out: Path) -> Iterator[Path]:
    """A hidden folder beside the target, gone at the end whatever happens."""
    try:
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
            yield Path(folder)
    except OSError as error:
        raise WriteError.because(error, out) from error


@contextmanager
def _engine_errors(name: str, target: Format) -> Iterator[None]:
    """Whatever an engine or exporter raises, as one error of ours; and none of their warnings."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (PtvHubError, OSError, MemoryError):
        raise
    except Exception as error:
        # Exporters and engines have exceptions of their own, of no common family.
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise ExportError(
            f"{name} could not be exported to {target.name}",
            where=f"{target.engine} {version(target.engine)}",
            found=f"{type(error).__name__}: {lines[0][:300] if lines else ''}",
            fix="no file was left; try fp32, or another format",
        ) from error
