"""``ptv-hub list``, ``show`` and ``env``: what the zoo holds, and where one stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ptv_hub.cli.options import Demo, Json, RequiredName
from ptv_hub.cli.tables import print_json, print_table
from ptv_hub.cli.talk import tell
from ptv_hub.cli.which_model import asked
from ptv_hub.errors import UsageError

if TYPE_CHECKING:
    from ptv_hub.zoo.entry import Artifact, Entry


def register(app: typer.Typer) -> None:
    app.command("list")(list_)
    app.command()(show)
    app.command()(env)


def list_(
    pattern: Annotated[
        str, typer.Argument(help="A glob over names, or a part of one: 'x3d_*', X3D.")
    ] = "*",
    arch: Annotated[str | None, typer.Option(help="SlowFast, X3D, R(2+1)D, ...")] = None,
    dataset: Annotated[str | None, typer.Option(help="kinetics400 (k400), ssv2, charades.")] = None,
    depth: Annotated[str | None, typer.Option(help="R50, R101, XS, ...")] = None,
    max_gflops: Annotated[float | None, typer.Option(help="Published, of one view.")] = None,
    max_params: Annotated[float | None, typer.Option(help="Published, millions.")] = None,
    zoo: Annotated[
        str | None, typer.Option(help="A collection: core, pyslowfast_native, mmaction2, ...")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Of all collections, not the core alone.")] = (
        False
    ),
    demo: Demo = False,
    json: Json = False,
) -> None:
    """List the models of the zoo.

    Examples:

        ptv-hub list

        ptv-hub list 'x3d_*' --max-gflops 5

        ptv-hub list --dataset charades --json

        ptv-hub list --zoo mmaction2
    """
    from ptv_hub.zoo.facts import METRICS
    from ptv_hub.zoo.manifest import demonstrations, filter_entries, left_out_of, of_zoo

    if all_ and zoo is not None:
        raise UsageError("--all is every collection, and one is named", found=zoo)
    chosen = "all" if all_ else zoo or "core"
    found = filter_entries(
        (*of_zoo(chosen), *(demonstrations() if demo else ())),
        pattern,
        arch=arch,
        dataset=dataset,
        depth=depth,
        max_gflops=max_gflops,
        max_params_millions=max_params,
    )
    if json:
        print_json([_without_labels(item) for item in found])
        return
    for name in dict.fromkeys(item.dataset for item in found):
        rows = [item for item in found if item.dataset == name]
        metrics = [m for m in METRICS if any(_published(item, m) for item in rows)]
        figures = ["GFLOPs x views", "params M", *(METRICS[m] for m in metrics)]
        print_table(
            ["name", "arch", "frames", *figures],
            [_row(item, metrics) for item in rows],
            right=figures,
            title=name,
        )
    if rows_left := left_out_of(chosen):
        told = f"{len(rows_left)} rows of these tables are left out"
        tell(f"{told}; 'ptv-hub show ROW' says why")
    if not found:
        tell("no model matches; 'ptv-hub list --all' shows those of every collection")


def _without_labels(item: Entry) -> dict[str, object]:
    """The record but for its class names, which would bury the rest (``show --json`` has them)."""
    return item.model_dump(mode="json", exclude={"labels"})


def _published(item: Entry, metric: str) -> float | None:
    return getattr(item.published, metric) if item.published else None


def _row(item: Entry, metrics: list[str]) -> list[str]:
    cost = ["-", "-"]
    if item.published:
        views = item.protocol.num_views
        gflops, millions = item.published.printed
        cost = ["-" if gflops is None else f"{gflops} x {views}", millions or "-"]
    values = [_published(item, metric) for metric in metrics]
    return [
        item.name,
        item.arch,
        item.frames,
        *cost,
        *("-" if v is None else f"{v:.2f}" for v in values),
    ]


def show(
    name: RequiredName,
    json: Json = False,
) -> None:
    """Show all that is known of one model: input, protocol, published figures, files, errata.

    Examples:

        ptv-hub show X3D_M

        ptv-hub show Charades/SLOW_8x8_R50 --json
    """
    item = asked(name).entry
    if json:
        print_json(item)
        return
    from ptv_hub.zoo.facts import facts

    known = facts(item)
    rows = [*known.model, *known.input, *known.protocol]
    rows += [(f"published {name}", told) for name, told in known.published]
    rows += [(f"attested {name}", told) for name, told in known.attested]
    rows += [(f"file ({_home(a)})", _artifact(a)) for a in item.artifacts]
    rows += [(f"erratum ({field})", told) for field, told in known.errata]
    rows += [(f"licence, {name}", told) for name, told in known.licence]
    print_table([item.name, ""], [*rows, *known.paper])


def _home(artifact: Artifact) -> str:
    """Whose the file is: a zoo's, or the very repository's that speaks of it."""
    from ptv_hub.zoo.repository import is_address

    return "its own" if is_address(artifact.base_url) else f"{artifact.zoo} zoo"


def _artifact(artifact: Artifact) -> str:
    """The file's address, its hash, and who vouches for that."""
    from ptv_hub.fetching.addresses import shown
    from ptv_hub.fetching.cache import expectation

    expected, url = expectation(artifact), shown(artifact.url)
    if expected is None:
        return f"{url} (the lock file does not name it)"
    if expected.sha256:
        return f"{url} (sha256 {expected.sha256[:12]}..., {expected.vouched_by})"
    if artifact.sha256_begins:
        begins = f"sha256 begins with {artifact.sha256_begins}: {artifact.hash_source}"
        return f"{url} ({begins})"
    return f"{url} (nobody vouches for a hash; the first use here will pin it)"


def env(json: Json = False) -> None:
    """Show versions, device, threads, folders and extras, for a bug report.

    Example:

        ptv-hub env
    """
    from ptv_hub.engines.device import usable_device
    from ptv_hub.environment import EXTRAS, device_name, has_extra, system, threads, versions
    from ptv_hub.fetching.cache import folder
    from ptv_hub.zoo.manifest_file import manifest_folder

    packages = (
        *("torch", "torchvision", "pytorchvideo", "safetensors", "av", "huggingface_hub"),
        *("scikit-learn", "onnxruntime", "openvino", "lightning"),
    )
    facts = {
        **versions(),
        **system(),
        **versions(*packages),
        "device": device_name(usable_device("auto")),
        "threads": str(threads()),
        "cache": str(folder()),
        "manifests": str(manifest_folder()),
        "extras": ", ".join(name for name in EXTRAS if has_extra(name)) or "none",
    }
    if json:
        print_json(facts)
    else:
        print_table(["", ""], [[k, v] for k, v in facts.items()])
