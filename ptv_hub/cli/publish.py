"""``ptv-hub push``, ``export`` and ``site``: what one does to hand models on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ptv_hub.cli.loading import calibration_of
from ptv_hub.cli.options import (
    All,
    AnyWeights,
    Calibrate,
    CalibrateSeed,
    CalibrateViews,
    ConfigFile,
    Demo,
    Json,
    Name,
    Opts,
    Overwrite,
    Weights,
)
from ptv_hub.cli.tables import print_json, print_table
from ptv_hub.cli.talk import tell, tell_lines
from ptv_hub.cli.which_model import asked
from ptv_hub.errors import UsageError

if TYPE_CHECKING:
    from ptv_hub.publish.upload import Pushed
    from ptv_hub.zoo.entry import Entry


def register(app: typer.Typer) -> None:
    app.command()(push)
    app.command()(export)
    app.command()(site)


def push(
    repo_id: Annotated[
        str, typer.Option(help="org/name; with --all a pattern: 'org/{name}', or just org.")
    ],
    name: Name = None,
    weights: Weights = None,
    results: Annotated[
        Path | None,
        typer.Option(help="The result.json of an evaluation of these weights, for the card."),
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make it private.")] = False,
    revision: Annotated[
        str | None, typer.Option(help="A branch, made if it is not there; main without.")
    ] = None,
    create_pr: Annotated[
        bool, typer.Option("--create-pr", help="Open a pull request in place of a commit.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done.")
    ] = False,
    folder: Annotated[
        Path | None, typer.Option(help="Keep the files here: 'local-dir:FOLDER' loads them.")
    ] = None,
    all_: All = False,
    json: Json = False,
) -> None:
    """Publish a model on the Hugging Face Hub: weights, config, and a card with what was proven.

    The weights go through 'verify' first. What the Hub has already is not uploaded again, so
    that a push that was interrupted resumes. The token is huggingface_hub's ('hf auth login').

    Examples:

        ptv-hub push X3D_M --repo-id org/x3d_m

        ptv-hub push slow_r50 --weights mine.pyth --repo-id org/mine --private

        ptv-hub push run/best.pyth --repo-id org/mine

        ptv-hub push X3D_M --repo-id org/x3d_m --dry-run --folder x3d_m

        ptv-hub push --all --repo-id 'org/ptv-{name}'
    """
    if (name is None) != all_:
        raise UsageError("push what?", expected="the name of a model, or --all")
    of_one = {
        "--weights": weights is not None,
        "--results": results is not None,
        "--revision": revision is not None,
        "--folder": folder is not None,
        "--create-pr": create_pr,
    }
    mixed = [option for option, given in of_one.items() if given]
    if all_ and mixed:
        raise UsageError(f"--all and {mixed[0]} contradict each other", fix="leave one out")

    if name is not None:
        from ptv_hub.publish.push import push as run

        wanted = asked(name, weights=weights)
        _tell_licence(wanted.entry)
        done = run(
            wanted.entry,
            repo_id,
            weights=weights or wanted.weights,  # an address is named on the card
            results=results,
            private=private,
            revision=revision,
            create_pr=create_pr,
            dry_run=dry_run,
            folder=folder,
        )
        if json:
            print_json(done)
        else:
            _show(done)
        return
    _push_all(repo_id, private=private, dry_run=dry_run, json=json)


def export(
    to: Annotated[str, typer.Option(help="onnx, torch-export or openvino.")],
    name: Name = None,
    opts: Opts = None,
    config: ConfigFile = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Where to; NAME.onnx, .pt2 or .xml without.")
    ] = None,
    weights: Weights = None,
    any_weights: AnyWeights = False,
    overwrite: Overwrite = False,
    views_batch: Annotated[
        str, typer.Option(help="Views at once: a number, or dynamic for any.")
    ] = "dynamic",
    dtype: Annotated[
        Literal["fp32", "fp16", "bf16", "int8"], typer.Option(help="What the file computes in.")
    ] = "fp32",
    with_preprocessing: Annotated[
        bool,
        typer.Option(
            "--with-preprocessing", help="Take uint8 frames (B, T, S, S, 3), crop size S."
        ),
    ] = False,
    pathways: Annotated[
        Literal["together", "separate"],
        typer.Option(help="Of a SlowFast: one clip, or an input each."),
    ] = "together",
    output: Annotated[
        Literal["scores", "logits"], typer.Option(help="The protocol's scores, or logits.")
    ] = "scores",
    calibrate: Calibrate = None,
    calibrate_views: CalibrateViews = 64,
    calibrate_seed: CalibrateSeed = 0,
    json: Json = False,
) -> None:
    """Write a model as a file for another engine; it is run there and compared with the model.

    A file that gives other scores (over 1e-4 in fp32, 1e-2 in fp16 and bf16; in int8 another best
    class in over 1 % of the held-out views that tell) is an error, and is not left behind.

    Examples:

        ptv-hub export X3D_M --to onnx

        ptv-hub export slowfast_r50 --to openvino -o slowfast_r50.xml --views-batch 30

        ptv-hub export X3D_XS --weights mine.pyth --to onnx --dtype fp16 --with-preprocessing

        ptv-hub export X3D_M --to openvino --dtype int8 --calibrate videos/
    """
    if views_batch != "dynamic" and not (views_batch.isdecimal() and int(views_batch)):
        raise UsageError(
            "--views-batch is no number of views",
            expected="1 or more, or dynamic",
            found=views_batch,
        )
    from ptv_hub.engines.export import default_target, ready_target
    from ptv_hub.engines.export import export as run
    from ptv_hub.engines.export_formats import format_of
    from ptv_hub.engines.export_graph import Options
    from ptv_hub.weights.load import load

    format_of(to).require()  # before anything is fetched
    wanted = asked(name, opts, config=config, weights=weights)
    out = ready_target(format_of(to), out or default_target(wanted.entry, format_of(to)), overwrite)
    _tell_licence(wanted.entry)
    calibration = calibration_of(
        wanted, dtype, calibrate, views=calibrate_views, seed=calibrate_seed
    )
    if dtype == "int8":
        from ptv_hub.engines.export_int8 import require_int8

        require_int8(format_of(to), calibration)
    model = load(wanted.to_run, weights=wanted.weights, any_weights=any_weights)
    done = run(
        model,
        out,
        to=to,
        options=Options(
            dtype=dtype,
            batch=None if views_batch == "dynamic" else int(views_batch),
            with_preprocessing=with_preprocessing,
            pathways=pathways,
            output=output,
        ),
        calibration=calibration,
        overwrite=overwrite,
    )
    if json:
        print_json(done)
        return
    rows = [["file", ", ".join(done.files) + f" ({done.size / 1e6:.1f} MB)"]]
    for input_, shape in done.inputs.items():
        rows.append(["input", f"{input_} ({', '.join(map(str, shape))})"])
    rows += [
        ["output", f"{done.output} (batch, {model.entry.num_classes}), float32"],
        ["run by", done.engine],
        [
            "compared",
            done.agreement.told
            if done.agreement is not None
            else f"{done.views} views, every score within {done.max_difference:.1e} of the model's"
            f" (at most {done.tolerance:g} is let through)",
        ],
        ["weights", done.weights or "-"],
        ["digest", done.digest],
    ]
    print_table([f"{done.name}, {done.format}, {done.dtype}", ""], rows)


def _tell_licence(item: Entry) -> None:
    """Say on stderr what a licence forbids, or that there is none, before weights are passed on."""
    if item.license.caution is not None:
        tell(f"{item.name}: {item.license.caution}")


def site(
    out: Annotated[Path, typer.Option("-o", "--out", help="The folder; made if it is not there.")],
    demo: Demo = False,
    json: Json = False,
) -> None:
    """Write the zoo as static pages: a table to sort and filter, a chart, a page for each model.

    The pages need nothing but themselves: open index.html, or put the folder on any server.
    Parameters and FLOPs are counted anew for it; what does not hold is said.

    Examples:

        ptv-hub site -o site

        ptv-hub --manifest mine.json site -o site
    """
    from ptv_hub.publish.site.write import write_site
    from ptv_hub.zoo.manifest import demonstrations, entries

    items = (*entries(), *(demonstrations() if demo else ()))

    def told(number: int, name: str) -> None:
        tell(f"[{number}/{len(items)}] {name}")

    pages = write_site(items, out, report=told)
    if json:
        print_json({"folder": str(out), "pages": [str(page) for page in pages]})
    else:
        print_table(["the zoo's pages", ""], [["open", str(pages[0])], ["pages", str(len(pages))]])


def _push_all(pattern: str, *, private: bool, dry_run: bool, json: bool) -> None:
    from ptv_hub.errors import PtvHubError
    from ptv_hub.publish.push import push_all
    from ptv_hub.publish.upload import Pushed
    from ptv_hub.zoo.manifest import entries

    items = entries()
    done: list[Pushed] = []
    failed: dict[str, PtvHubError] = {}
    found = push_all(items, pattern, private=private, dry_run=dry_run)
    for number, result in enumerate(found, 1):
        if isinstance(result, Pushed):
            done.append(result)
            told = f"{result.repo_id}: {_summary(result)}"
        else:
            item, error = result
            failed[item.name] = error
            told = f"{item.name}: {error}"
        tell_lines(f"[{number}/{len(items)}] {told}")
    if json:
        print_json({"pushed": done, "failed": {name: str(e) for name, e in failed.items()}})
    else:
        print_table(
            ["model", "repository", ""],
            [[p.name, p.url, _summary(p)] for p in done]
            + [[name, "-", error.what] for name, error in failed.items()],
        )
    if failed:
        tell(
            f"{len(failed)} of {len(items)} could not be pushed; the same command tries them again"
        )
        raise typer.Exit(1)


def _summary(done: Pushed) -> str:
    changed = [file for file in done.files if file.state != "unchanged"]
    if not changed:
        return "unchanged, nothing uploaded"
    size = sum(file.size for file in changed) / 1e6
    verb = "would be uploaded" if done.dry_run else "uploaded"
    return f"{len(changed)} of {len(done.files)} files {verb} ({size:.1f} MB)"


def _show(done: Pushed) -> None:
    there = "is there"
    if done.created is None:
        there = "not asked: no connection"
    elif done.created:
        there = "would be made" if done.dry_run else "made"
    rows = [["repository", f"{done.url} ({there})"]]
    rows += [[f.name, f"{f.state}, {f.size / 1e6:.2f} MB"] for f in done.files]
    rows.append(["digest", done.digest])
    if done.commit:
        rows.append(["commit", done.commit])
    if done.pull_request:
        rows.append(["pull request", done.pull_request])
    rows.append(["load it", f'ptv_hub.load("hf-hub:{done.repo_id}")'])
    print_table([done.name, ""], rows)
