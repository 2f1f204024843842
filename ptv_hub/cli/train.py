"""``ptv-hub finetune`` and ``train``: PySlowFast's workflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ptv_hub.cli.config import config
from ptv_hub.cli.options import (
    ADVANCED,
    NAME,
    Accumulate,
    Balance,
    CheckVideos,
    Control,
    Data,
    Device,
    Ema,
    FreezeStages,
    GroupBy,
    Holdout,
    Json,
    Labels,
    Opts,
    Patience,
    Restart,
    SaveEvery,
    SkipBroken,
    Videos,
)
from ptv_hub.cli.tables import print_json, print_table
from ptv_hub.cli.training_talk import Talk, rows
from ptv_hub.cli.which_model import asked
from ptv_hub.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from ptv_hub.training.source import Source
    from ptv_hub.zoo.entry import Entry
    from ptv_hub.zoo.pyslowfast import Config


def register(app: typer.Typer) -> None:
    app.command()(finetune)
    app.command()(train)
    app.command()(config)


def finetune(
    name: Annotated[str, typer.Argument(help=f"The model to begin from. {NAME}")],
    data: Data,
    opts: Opts = None,
    num_classes: Annotated[
        str, typer.Option(help="A number, or 'auto': as many as the data has.", metavar="N|auto")
    ] = "auto",
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the run.")] = Path(
        "finetuned"
    ),
    epochs: Annotated[int | None, typer.Option(help="10 if not given.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="8 if not given.")] = None,
    lr: Annotated[
        float | None, typer.Option(help="Highest learning rate; 0.01 if not given.")
    ] = None,
    crop: Annotated[
        int | None,
        typer.Option(help="Side of crops in training and tests, pixels.", rich_help_panel=ADVANCED),
    ] = None,
    flip: Annotated[
        bool | None,
        typer.Option(
            "--flip/--no-flip", help="Mirror half of the clips.", rich_help_panel=ADVANCED
        ),
    ] = None,
    freeze_stages: FreezeStages = 0,
    freeze_bn: Annotated[
        bool,
        typer.Option("--freeze-bn", help="Keep batch-norm statistics.", rich_help_panel=ADVANCED),
    ] = False,
    mixed_precision: Annotated[
        bool,
        typer.Option(
            "--mixed-precision",
            help="fp16 on CUDA, bf16 elsewhere; weights stay fp32.",
            rich_help_panel=ADVANCED,
        ),
    ] = False,
    workers: Annotated[
        int | None, typer.Option(help="Decoding processes.", rich_help_panel=ADVANCED)
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="0 if not given.", rich_help_panel=ADVANCED)
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="Begin from this file, or model of the zoo.")
    ] = None,
    from_scratch: Annotated[
        bool,
        typer.Option(
            "--from-scratch", help="Begin from no weights at all.", rich_help_panel=ADVANCED
        ),
    ] = False,
    labels: Labels = None,
    videos: Videos = None,
    holdout: Holdout = 0.1,
    group_by: GroupBy = None,
    accumulate: Accumulate = 1,
    ema: Ema = None,
    patience: Patience = None,
    balance: Balance = "none",
    device: Device = "auto",
    check: CheckVideos = "full",
    save_every: SaveEvery = 600.0,
    skip_broken: SkipBroken = False,
    restart: Restart = False,
    control: Control = False,
    json: Json = False,
) -> None:
    """Train a model of the zoo further, for classes of your own.

    The folder of the run gets checkpoints that PySlowFast reads (`last.pyth`, `best.pyth`),
    `steps.csv`, `epochs.csv`, `config.yaml`, and `model/`, which every command takes with its
    class names: `ptv-hub predict local-dir:RUN/model clip.mp4`. Run again, it goes on from
    the last checkpoint.

    Examples:

        ptv-hub finetune x3d_s --data videos/ -o run

        ptv-hub finetune slow_r50_ssv2 --data ssv2/ --num-classes 174 --weights slow_r50 --epochs 30

        torchrun --nproc-per-node 2 -m ptv_hub finetune x3d_s --data videos/ -o run
    """
    from ptv_hub.training.finetuning import finetuning
    from ptv_hub.training.source import read_source

    if from_scratch and weights is not None:
        raise UsageError("--from-scratch and --weights contradict each other", found=weights)
    item = asked(name).entry
    pairs = _pairs(
        {
            "SOLVER.MAX_EPOCH": epochs,
            "TRAIN.BATCH_SIZE": batch_size,
            "SOLVER.BASE_LR": lr,
            "DATA.RANDOM_FLIP": flip,
            "DATA_LOADER.NUM_WORKERS": workers,
            "RNG_SEED": seed,
            "MODEL.FROZEN_BN": freeze_bn or None,
            "TRAIN.MIXED_PRECISION": mixed_precision or None,
            "SOLVER.WARMUP_EPOCHS": None if epochs is None else min(1.0, 0.1 * epochs),
            "SOLVER.WARMUP_START_LR": None if lr is None else 0.1 * lr,
            "DATA.TRAIN_CROP_SIZE": crop,
            "DATA.TEST_CROP_SIZE": crop,
            "DATA.TRAIN_JITTER_SCALES": None if crop is None else _jitter(item, crop),
        }
    )
    settings = finetuning(
        item,
        output=str(output),
        frozen_stages=freeze_stages,
        from_scratch=from_scratch,
        opts=[*pairs, *(opts or ())],
        more=_more(accumulate, ema, patience, balance),
    )
    source = read_source(
        settings.entry,
        data,
        videos=videos,
        num_classes=_classes(num_classes),
        labels=labels,
        holdout=holdout,
        seed=settings.recipe.seed,
        group_by=group_by,
    )
    way = _Way(device, check, save_every, restart, control, skip_broken)
    _run(settings, source, None if from_scratch else weights or name, way, json=json)


def _more(
    accumulate: int, ema: float | None, patience: int | None, balance: str
) -> dict[str, object]:
    """The fields of the recipe that PySlowFast has no key for."""
    return {"accumulate": accumulate, "ema_decay": ema, "patience": patience, "balance": balance}


def _pairs(values: Mapping[str, object]) -> list[object]:
    """Keys and values of those that are given, as PySlowFast takes them."""
    given = [(key, value) for key, value in values.items() if value is not None]
    return [word for pair in given for word in pair]


def _jitter(item: Entry, crop: int) -> list[int]:
    """Short sides for another crop, in the entry's proportion."""
    low, high = item.input.train_jitter
    return [crop, round(crop * high / low)]


def train(
    config: Annotated[Path, typer.Option("--config", help="A PySlowFast config.")],
    opts: Opts = None,
    num_classes: Annotated[
        str | None,
        typer.Option(help="In place of MODEL.NUM_CLASSES.", metavar="N|auto"),
    ] = None,
    labels: Labels = None,
    freeze_stages: FreezeStages = 0,
    holdout: Holdout = 0.0,
    group_by: GroupBy = None,
    accumulate: Accumulate = 1,
    ema: Ema = None,
    patience: Patience = None,
    balance: Balance = "none",
    device: Device = "auto",
    check: CheckVideos = "open",
    save_every: SaveEvery = 600.0,
    skip_broken: SkipBroken = False,
    restart: Restart = False,
    control: Control = False,
    json: Json = False,
) -> None:
    """Train as a PySlowFast config says, keys and values on top as on its command line.

    Data, weights and output are those of the config: `DATA.PATH_TO_DATA_DIR`,
    `TRAIN.CHECKPOINT_FILE_PATH` (a file, or a model of the zoo), `OUTPUT_DIR`. With
    `TRAIN.AUTO_RESUME` it goes on from the last checkpoint.

    Examples:

        ptv-hub config X3D_S > X3D_S.yaml

        ptv-hub train --config X3D_S.yaml DATA.PATH_TO_DATA_DIR kinetics OUTPUT_DIR run NUM_GPUS 1

        torchrun --nproc-per-node 8 -m ptv_hub train --config SLOW_8x8_R50.yaml OUTPUT_DIR run
    """
    from ptv_hub.training.finetuning import with_more
    from ptv_hub.training.source import read_source
    from ptv_hub.zoo.pyslowfast import from_config

    settings = from_config(config, opts or ())
    more = _more(accumulate, ema, patience, balance) | {"frozen_stages": freeze_stages}
    settings = settings.model_copy(update={"recipe": with_more(settings.recipe, more)})
    paths = settings.paths
    if not paths.data:
        raise ConfigError(
            "the config names no data",
            where=config,
            expected="DATA.PATH_TO_DATA_DIR",
            fix="add: DATA.PATH_TO_DATA_DIR FOLDER",
        )
    source = read_source(
        settings.entry,
        paths.data,
        videos=paths.prefix or None,
        num_classes=None if num_classes is None else _classes(num_classes),
        labels=labels,
        holdout=holdout,
        seed=settings.recipe.seed,
        group_by=group_by,
    )
    way = _Way(device, check, save_every, restart, control, skip_broken)
    _run(settings, source, paths.weights or None, way, json=json)


def _classes(text: str) -> int | Literal["auto"]:
    if text == "auto":
        return "auto"
    if not text.isdecimal():
        raise UsageError("--num-classes is a number or 'auto'", found=repr(text))
    return int(text)


@dataclass(frozen=True)
class _Way:
    """How a run goes, whatever is trained."""

    device: str
    check: Literal["full", "open", "none"]
    save_every_s: float
    restart: bool
    control: bool
    skip_broken: bool


def _run(settings: Config, source: Source, weights: str | None, way: _Way, *, json: bool) -> None:
    from ptv_hub.files import ready_folder, write_text
    from ptv_hub.training.engine import train
    from ptv_hub.weights.named import weights_file
    from ptv_hub.zoo.pyslowfast import to_yaml

    ready_folder(settings.paths.output)  # before anything is fetched or looked at
    talk = Talk()
    talk.begin(settings, source)
    settings = settings.model_copy(update={"entry": source.entry})
    result = train(
        settings,
        source,
        weights=None if weights is None else weights_file(weights),
        resume=settings.paths.resume,
        report=talk,
        device=way.device,
        check=way.check,
        save_every_s=way.save_every_s,
        restart=way.restart,
        control=way.control,
        skip_broken=way.skip_broken,
    )
    if not talk.speaks:
        return
    write_text(Path(settings.paths.output) / "config.yaml", to_yaml(settings))
    if json:
        print_json(result)
    else:
        print_table([result.name, ""], rows(result))
