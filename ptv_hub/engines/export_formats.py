"""The file formats: how each is written from a traced program, and run by its own engine.

Engines are optional dependencies, imported where they are used.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from ptv_hub.engines import untold
from ptv_hub.engines.export_graph import Graph
from ptv_hub.errors import MissingExtra, UnknownName, UsageError

if TYPE_CHECKING:
    import onnx

METADATA_FILE = "ptv_hub.json"
"""Name of the metadata inside a torch.export archive."""

Run = Callable[[Sequence[Tensor]], Tensor]


@dataclass(frozen=True)
class Format:
    name: str
    suffix: str
    extra: str | None
    """The optional dependencies that it needs, by their name in pyproject.toml."""
    packages: tuple[str, ...]
    write: Callable[[Graph, ExportedProgram, Mapping[str, str], Path], None]
    open: Callable[[Path], Run]
    """A file -> a function that runs it, with the engine that deployments use."""
    engine: str
    computes: tuple[str, ...] = ("fp32", "fp16", "bf16")
    """Types that the engine has kernels for; in others the file keeps its weights alone."""
    beside: tuple[str, ...] = ()
    """Suffixes of what is written beside the file, under its name."""

    def require(self) -> None:
        """Raises: MissingExtra, if one of its packages is not installed."""
        for package in self.packages:
            if find_spec(package) is None:
                assert self.extra is not None
                raise MissingExtra(package, self.extra, needed_for=f"export to {self.name}")

    def check_suffix(self, out: Path) -> None:
        """Raises: UsageError, if files of this format end in another way."""
        if out.suffix != self.suffix:
            raise UsageError(
                f"the suffix of a {self.name} file is another one",
                where=out,
                expected=self.suffix,
                found=out.suffix or "no suffix",
            )


def format_of(name: str) -> Format:
    """The format of this name.

    Raises:
        UnknownName: there is none.
    """
    if name not in FORMATS:
        raise UnknownName("export format", name, FORMATS)
    return FORMATS[name]


# ---------------------------------------------------------------------------- torch.export


def _write_torch(
    graph: Graph, program: ExportedProgram, metadata: Mapping[str, str], path: Path
) -> None:
    program.example_inputs = None  # two clips: 50 MB of noise in the file of a SlowFast
    torch.export.save(program, path, extra_files={METADATA_FILE: json.dumps(dict(metadata))})


def _open_torch(path: Path) -> Run:
    module = torch.export.load(path).module()

    def run(inputs: Sequence[Tensor]) -> Tensor:
        with torch.no_grad():
            scores: Tensor = module(*inputs)
        return scores

    return run


# ---------------------------------------------------------------------------- ONNX


def _write_onnx(
    graph: Graph, program: ExportedProgram, metadata: Mapping[str, str], path: Path
) -> None:
    import onnx

    names = list(graph.input_names)
    done = torch.onnx.export(
        program,
        dynamo=True,
        input_names=names,
        output_names=[graph.options.output],
        opset_version=20,
        verbose=False,
    )
    assert done is not None
    model = done.model_proto
    _name_batch_axis(model)
    if graph.options.dtype == "bf16":
        _weights_to_bf16(model)
    for key, value in metadata.items():
        model.metadata_props.add(key=f"ptv_hub.{key}", value=value)
    onnx.checker.check_model(model)
    onnx.save_model(model, path)


def _name_batch_axis(model: onnx.ModelProto) -> None:
    """``batch`` in place of the symbol that torch made up."""
    symbol = model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    if not symbol:
        return
    values = (*model.graph.input, *model.graph.output, *model.graph.value_info)
    for value in values:
        for axis in value.type.tensor_type.shape.dim:
            if symbol in axis.dim_param:
                axis.dim_param = axis.dim_param.replace(symbol, "batch")


def _weights_to_bf16(model: onnx.ModelProto) -> None:
    """Keep the weights in half the bytes; ONNX Runtime's CPU kernels compute them in float32."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) < 2:
            continue
        values = torch.from_numpy(numpy_helper.to_array(tensor).copy()).to(torch.bfloat16)
        name = tensor.name
        short = onnx.TensorProto(name=f"{name}.bf16", data_type=TensorProto.BFLOAT16)
        short.dims.extend(tensor.dims)
        short.raw_data = values.view(torch.int16).numpy().tobytes()
        casts.append(helper.make_node("Cast", [short.name], [name], to=TensorProto.FLOAT))
        tensor.CopyFrom(short)
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _open_onnx(path: Path) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]

    def run(inputs: Sequence[Tensor]) -> Tensor:
        feed = {name: x.numpy() for name, x in zip(names, inputs, strict=True)}
        return torch.from_numpy(session.run(None, feed)[0])

    return run


# ---------------------------------------------------------------------------- OpenVINO


def _write_openvino(
    graph: Graph, program: ExportedProgram, metadata: Mapping[str, str], path: Path
) -> None:
    openvino = untold.openvino()

    keep_openvino(openvino.convert_model(program), graph, metadata, path)


def keep_openvino(model: Any, graph: Graph, metadata: Mapping[str, str], path: Path) -> None:
    """Write OpenVINO's model under the names and shapes that the graph's options say."""
    openvino = untold.openvino()

    batch = graph.options.batch or -1
    shapes = graph.input_shapes.values()
    for port, name, shape in zip(model.inputs, graph.input_names, shapes, strict=True):
        port.tensor.set_names({name})
        port.node.set_friendly_name(name)
        port.node.set_partial_shape(openvino.PartialShape([batch, *shape]))
    model.validate_nodes_and_infer_types()
    model.outputs[0].tensor.set_names({graph.options.output})
    for key, value in metadata.items():
        model.set_rt_info(value, ["ptv_hub", key])
    openvino.save_model(model, path, compress_to_fp16=False)


def _open_openvino(path: Path) -> Run:
    openvino = untold.openvino()

    # Left to itself, OpenVINO computes in bfloat16 on CPUs that have it.
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(path), "CPU", exact)

    def run(inputs: Sequence[Tensor]) -> Tensor:
        found = compiled([x.numpy() for x in inputs])
        return torch.from_numpy(found[0].copy())

    return run


FORMATS = {
    item.name: item
    for item in (
        Format(
            name="torch-export",
            suffix=".pt2",
            extra=None,
            packages=(),
            write=_write_torch,
            open=_open_torch,
            engine="torch",
        ),
        Format(
            name="onnx",
            suffix=".onnx",
            extra="onnx",
            packages=("onnx", "onnxscript", "onnxruntime"),
            write=_write_onnx,
            open=_open_onnx,
            engine="onnxruntime",
            computes=("fp32", "fp16"),
        ),
        Format(
            name="openvino",
            suffix=".xml",
            extra="openvino",
            packages=("openvino",),
            write=_write_openvino,
            open=_open_openvino,
            engine="openvino",
            beside=(".bin",),
        ),
    )
}
