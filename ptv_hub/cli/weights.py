"""``ptv-hub convert``, ``digest`` and ``identify``: what one does with a weights file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ptv_hub.cli.options import Json, Overwrite
from ptv_hub.cli.tables import print_json, print_table
from ptv_hub.cli.talk import put


def register(app: typer.Typer) -> None:
    app.command()(convert)
    app.command()(digest)
    app.command()(identify)


def convert(
    source: Annotated[str, typer.Argument(help="A weights file, or the name of a model.")],
    to: Annotated[str, typer.Option(help="The layout: official, pyslowfast, native or mmaction2.")],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Where to; .safetensors or .pyth by the suffix.")
    ],
    as_: Annotated[
        str | None,
        typer.Option(
            "--as", help="Whose weights these are, where the file does not say.", metavar="NAME"
        ),
    ] = None,
    keep_training: Annotated[
        bool,
        typer.Option("--keep-training", help="Carry epoch, optimizer state and config over."),
    ] = False,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Write weights in another layout or format; the result is read back and compared.

    Examples:

        ptv-hub convert SLOWFAST_8x8_R50.pyth --to official -o slowfast_r50.safetensors

        ptv-hub convert X3D_M --to pyslowfast -o X3D_M.pyth

        ptv-hub convert mine.pyth --to official -o mine_official.pyth --keep-training

        ptv-hub convert C2D_NOPOOL_8x8_R50.pkl --to official -o c2d.pyth --as c2d_nopool_r50
    """
    from ptv_hub.weights.convert import convert as run

    done = run(source, out, to=to, as_name=as_, keep_training=keep_training, overwrite=overwrite)
    if json:
        print_json(done)
        return
    training = "none in the source"
    if done.kept:
        training = f"kept: {', '.join(done.kept)}"
    elif done.dropped:
        training = f"left out: {', '.join(done.dropped)} (--keep-training carries it over)"
    rows = [
        ["from", f"{done.source} ({done.source_layout} layout, {_megabytes(done.source_size)})"],
        ["to", f"{done.target} ({done.target_layout} layout, {_megabytes(done.target_size)})"],
        ["model", _names(done.models)],
        ["tensors", f"{done.num_tensors}, read back, every bit the same"],
        *(["done beyond renaming", step] for step in done.transformations),
        *(["lost", what] for what in done.lost),
        *(["to know", note] for note in done.notes),
        ["training state", training],
        ["bytes saved", _megabytes(max(0, done.source_size - done.target_size))],
        ["digest", done.digest],
    ]
    print_table(["converted", ""], rows)


def digest(
    file: Annotated[list[Path], typer.Argument(help="Weights files, in any layout and format.")],
    json: Json = False,
) -> None:
    """Print the sha256 over a file's tensors: the same in every layout and format.

    Example:

        ptv-hub digest X3D_M.pyth x3d_m.safetensors
    """
    from ptv_hub.weights.named import weights_file
    from ptv_hub.weights.opened import OpenedWeights

    found = {}
    for path in file:
        found[str(path)] = OpenedWeights(weights_file(path)).digest
        if not json:
            put(f"{found[str(path)]}  {path}")
    if json:
        print_json([{"file": name, "digest": value} for name, value in found.items()])


def identify(
    file: Annotated[Path, typer.Argument(help="A weights file of unknown origin.")],
    json: Json = False,
) -> None:
    """Say what a stray weights file is. Nothing in it is run.

    Example:

        ptv-hub identify checkpoint_epoch_00196.pyth
    """
    from ptv_hub.weights.identify import identify as run
    from ptv_hub.weights.named import weights_file

    found = run(weights_file(file))
    if json:
        print_json(found)
        return
    wrapper = f", wrapped in {found.wrapper!r}" if found.wrapper else ""
    training = "none"
    if found.training:
        training = f"{', '.join(found.training)} ({_megabytes(found.training_bytes)})"
    candidates = "; ".join(
        f"{_names([c.name for c in found.candidates if c.evidence == evidence])} (by {evidence})"
        for evidence in dict.fromkeys(c.evidence for c in found.candidates)
    )
    classes = "unknown"
    if found.num_classes is not None:
        classes = f"{found.num_classes} ({' or '.join(found.datasets) or 'no data set of the zoo'})"
    rows = [
        ["file", f"{found.format}, {_megabytes(found.size)}"],
        ["sha256", found.sha256],
        ["safe", "yes: read as data, nothing was run"],
        ["container", f"{found.container}{wrapper}"],
        *([["read, not mapped", found.not_mapped]] if found.not_mapped else []),
        ["layout", found.layout or "none of this zoo"],
        ["tensors", f"{found.num_tensors}, {', '.join(found.dtypes)}"],
        *(["when loaded", step] for step in found.transformations),
        ["classes", classes],
        ["model", candidates or "none of the manifest"],
        *([["its own word", found.own_word]] if found.own_word else []),
        ["training state", training],
        ["digest", found.digest or "-"],
    ]
    if found.problem:
        rows.append(["problem", "; ".join(map(str.strip, found.problem.splitlines()))])
    print_table([str(file), ""], rows)


def _names(names: list[str] | tuple[str, ...]) -> str:
    if not names:
        return "none of the manifest"
    return " or ".join(names)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
