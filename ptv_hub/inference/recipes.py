"""How others extract their features, as settings by name; and users' own, from a TOML file.

Each number has its source. What a recipe settles is which frames make how many vectors, what is
taken of the model and how files are written; weights, decoder and pixels are this project's.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ptv_hub.errors import ConfigError, UnknownName
from ptv_hub.inference.feature_files import FileDtype, FileFormat, FileKind
from ptv_hub.inference.outputs import EMBEDDING
from ptv_hub.inference.windows import Choice, Last, Windows, parse_length
from ptv_hub.zoo.records import Record, first_fault


class Recipe(Record):
    """Settings of an extraction."""

    name: str
    about: str = ""
    model: str | None = None
    """The entry nearest to the model that the owners used."""
    windows: Windows
    crops: int = 1
    take: tuple[str, ...] = (EMBEDDING,)
    format: FileFormat = "npz"
    dtype: FileDtype = "fp32"
    key: str = "features"
    """What the array is called in a file."""
    sources: tuple[str, ...] = ()
    """Repository and file of each number."""
    differs: tuple[str, ...] = ()
    """What is not as the owners had it."""

    @property
    def kind(self) -> FileKind:
        return FileKind(self.format, self.dtype, self.key)


_EGO4D = "facebookresearch/Ego4d: ego4d/features"
_HERO = "linjieli222/HERO_Video_Feature_Extractor: slowfast"
_SIMPLEVQA = "sunwei925/SimpleVQA"

RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="ego4d",
            about="Ego4D's released features: 32 frames at 30 a second, every 16",
            model="slowfast_r101",
            windows=Windows(window="32/30s", stride="16/30s", last="back"),
            sources=(
                f"{_EGO4D}/configs/slowfast_r101_8x8.yaml (frame_window 32, stride 16, fps 30, "
                "side and crop 256, mean 0.45, std 0.225, alpha 4)",
                f"{_EGO4D}/dataset.py (UniformClipSampler of 32/30 s and 16/30 s, backpad_last)",
                f"{_EGO4D}/models/slowfast.py (32 of a clip's frames evenly; the mean of what the "
                "head would see: 2304 numbers)",
            ),
            differs=(
                "the owners' files are .pt tensors; rows are the same",
                "the owners' videos are canonical ones, all at 30 frames a second",
            ),
        ),
        Recipe(
            name="actionformer",
            about="ActionFormer's and TriDet's EPIC-Kitchens features: 32 frames at 30, every 16",
            model="slowfast_r101",
            windows=Windows(window="32", stride="16", fps=30, last="pad"),
            key="feats",
            sources=(
                "happyharrycn/actionformer_release: README.md (32 frames at 30 a second, stride "
                "16)",
                "happyharrycn/actionformer_release: configs/epic_slowfast_verb.yaml (num_frames "
                "32, feat_stride 16, default_fps 30, input_dim 2304)",
                "happyharrycn/actionformer_release: libs/datasets/epic_kitchens.py (npz, key "
                "feats; row i stands at frame 16 i + 16)",
                "dingfengshi/TriDet#14 (3097 rows of P01_01, 1652.15 s: the end is covered)",
            ),
            differs=(
                "the owners' SlowFast was trained on EPIC-Kitchens; its weights are not published",
                "the owners' extraction is not published: how the last window is filled is ours",
            ),
        ),
        Recipe(
            name="moment-detr",
            about="Moment-DETR's and QD-DETR's SlowFast features of QVHighlights: one each 2 s",
            model="slowfast_r50",
            windows=Windows(window="60", stride="60", fps=30, last="pad", choice="pyslowfast"),
            dtype="fp16",
            sources=(
                f"{_HERO}/extract_feature/extract.py (30 frames a second, half precision, key "
                "features); README.md (clip_len 2)",
                f"{_HERO}/extract_feature/preprocessing.py (frames and seconds filled up with the "
                "last; linspace over 64 source frames from each clip's start, clamped to it)",
                f"{_HERO}/configs/Kinetics/c2/extract_SLOWFAST_8x8_R50.yaml (32 frames, rate 2)",
                "jayleicn/moment_detr: moment_detr/start_end_dataset.py (npz, key features, rows "
                "normalised by the loader, clip_len 2); #19 (which model)",
            ),
            differs=(
                "the owners' weights are Caffe2's SLOWFAST_8x8_R50.pkl",
                "the owners scale with FFmpeg (bicubic) to 224, and crop 224; here bilinear, 256",
            ),
        ),
        Recipe(
            name="simplevqa",
            about="SimpleVQA's motion features: 32 frames on end from each second",
            model="slowfast_r50",
            windows=Windows(
                window="32",
                stride="1s",
                fps="source",
                last="whole",
                choice="consecutive",
                at_least=8,
            ),
            crops=0,
            take=("slow", "fast"),
            sources=(
                f"{_SIMPLEVQA}: data_loader.py (clips of 32 frames from each whole second of "
                "round(fps) frames, the last frame and the last clip repeated, 8 clips at least)",
                f"{_SIMPLEVQA}: extracted_SlowFast_features_VQA.py (slow 2048 and fast 256, pooled "
                "by the model's own pools; hub slowfast_r50)",
                f"{_SIMPLEVQA}: extract_features.sh (--resize 224)",
            ),
            differs=(
                "the owners squeeze each frame to 224 x 224 (Pillow, antialiased); here it keeps "
                "its shape, the short side 256, and all of it is seen",
                "20 clips at least for YouTube-UGC: a recipe of one's own, at_least = 20",
            ),
        ),
    )
}


class _OwnRecipe(Record):
    """What a user's file may say: see ``docs/features.md``."""

    model: str | None = None
    about: str = ""
    window: str | int | None = None
    stride: str | int | None = None
    fps: float | str | None = None
    last: Last = "back"
    choice: Choice = "protocol"
    at_least: int = 0
    crops: int = 1
    take: tuple[str, ...] = (EMBEDDING,)
    format: FileFormat = "npz"
    dtype: FileDtype = "fp32"
    key: str = "features"


def recipe_of(word: str | os.PathLike[str]) -> Recipe:
    """The recipe of a name, or of a TOML file.

    Raises:
        UnknownName: neither.
        ConfigError: the file cannot be read, or says what has no meaning.
    """
    path = Path(word)
    if path.suffix.lower() == ".toml" or path.is_file():
        return _from_file(path)
    known = RECIPES.get(str(word).casefold().replace("_", "-"))
    if known is None:
        raise UnknownName("recipe", word, RECIPES, see="'ptv-hub recipes' lists them")
    return known


def _from_file(path: Path) -> Recipe:
    try:
        content = _toml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError("a recipe cannot be read", where=path, found=error) from error
    try:
        own = _OwnRecipe.model_validate(content)
        told = own.model_dump(exclude_none=True)
        for name in ("window", "stride"):
            if name in told:
                parse_length(told[name], name)
                told[name] = str(told[name])
        lying = {name: told.pop(name) for name in Windows.model_fields if name in told}
        return Recipe(name=path.stem, windows=Windows.model_validate(lying), **told)
    except ValidationError as error:
        raise ConfigError(
            "a recipe says what has no meaning", where=path, found=first_fault(error)
        ) from error


def _toml(text: str) -> dict[str, Any]:
    import sys

    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    content: dict[str, Any] = tomllib.loads(text)
    return content
