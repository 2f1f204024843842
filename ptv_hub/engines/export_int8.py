"""A file in eight bits for another engine: calibrated, written, and compared with the model.

The network is traced, quantized by NNCF in the format's own graph, and the file that was written
is run on the held-out views; what was found is then written into it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ptv_hub.engines import untold
from ptv_hub.engines.agreement import Agreement, agreement, require
from ptv_hub.engines.calibrated import CalibrationViews
from ptv_hub.engines.export_formats import Format, keep_openvino
from ptv_hub.engines.export_graph import Graph, named, trace
from ptv_hub.engines.kept import kept_of
from ptv_hub.engines.quantizing import require_extra, traced, with_nncf
from ptv_hub.errors import UsageError

_FORMATS = ("openvino", "onnx")


def require_int8(target: Format, views: CalibrationViews | None) -> CalibrationViews:
    """The views to calibrate on.

    Raises:
        UsageError: the format has no eight bits, or there are no views.
        MissingExtra: NNCF is not installed.
    """
    if target.name not in _FORMATS:
        raise UsageError(
            f"{target.name} has no int8 here", expected=", ".join(_FORMATS), fix="--to openvino"
        )
    if views is None:
        raise UsageError(
            "int8 is calibrated on videos, and none are named",
            fix="--calibrate FOLDER, or a list of videos",
        )
    require_extra()
    return views


def write_int8(
    target: Format,
    graph: Graph,
    metadata: Mapping[str, str],
    path: Path,
    views: CalibrationViews,
    wanted: Callable[[Tensor], Tensor],
    as_scores: Callable[[Tensor], Tensor],
) -> Agreement:
    """Write the file, run it on the held-out views, and tell in it how near it is.

    Args:
        wanted: clips (B, 3, T, S, S) -> the float32 model's scores.
        as_scores: the file's output -> scores.

    Raises:
        QuantizationError: NNCF cannot do it, or the file does not agree with float32.
    """
    net, kept = graph.model, kept_of(graph.model)
    calibrating = [graph.of_clip(view[None]) for view in views.calibrating()]
    told = {
        **metadata,
        "calibration": views.record.model_copy(
            update={"views": len(calibrating)}
        ).model_dump_json(),
        "kept_in_float32": ", ".join(kept),
    }
    if target.name == "openvino":
        made = traced(named(graph), calibrating[0])
        made = with_nncf(made, [[x.numpy() for x in one] for one in calibrating], net, kept)
        keep_openvino(made, graph, told, path)
    else:
        target.write(graph, trace(graph), metadata, path)
        _quantize_onnx(path, graph, told, [_arrays(graph, one) for one in calibrating])
    run = target.open(path)

    def found(clip: Tensor) -> Tensor:
        inputs = [_filled(x, graph.options.batch) for x in graph.of_clip(clip)]
        return as_scores(run(inputs))[: len(clip)]

    near = agreement(wanted, found, views.held_out())
    require(near, net.entry.name)
    _tell(target, path, near)
    return near


def _arrays(graph: Graph, inputs: tuple[Tensor, ...]) -> dict[str, Any]:
    batch = graph.options.batch
    return {
        name: _filled(x, batch).numpy() for name, x in zip(graph.input_names, inputs, strict=True)
    }


def _filled(views: Tensor, batch: int | None) -> Tensor:
    """One view as often as the file takes views at once."""
    return views.expand(batch, *views.shape[1:]).contiguous() if batch else views


def _quantize_onnx(
    path: Path, graph: Graph, metadata: Mapping[str, str], inputs: list[dict[str, Any]]
) -> None:
    import onnx

    before = onnx.load(path)
    made = with_nncf(before, inputs, graph.model, kept_of(graph.model))
    del made.metadata_props[:]
    for key, value in metadata.items():
        made.metadata_props.add(key=f"ptv_hub.{key}", value=value)
    onnx.save_model(made, path)


def _tell(target: Format, path: Path, near: Agreement) -> None:
    """Add to a file what is known of it now."""
    if target.name == "onnx":
        import onnx

        model = onnx.load(path)
        model.metadata_props.add(key="ptv_hub.agreement", value=near.model_dump_json())
        onnx.save_model(model, path)
        return
    openvino = untold.openvino()

    model = openvino.Core().read_model(path)
    model.set_rt_info(near.model_dump_json(), ["ptv_hub", "agreement"])
    # The weights are mapped from the file that they would be written to.
    openvino.serialize(model, path, _bin(path, "told"))
    _bin(path, "told").replace(path.with_suffix(".bin"))


def _bin(path: Path, suffix: str) -> Path:
    return path.with_suffix(f".{suffix}.bin")
