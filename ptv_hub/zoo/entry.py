"""What one model of the zoo *is*: its row in a manifest, its files, and what is said of it.

Nothing here imports torch or touches a file. Words are those of the field and of
PySlowFast's configs; sizes are pixels, times are seconds, rates are frames per second,
accuracies are percent.
"""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from ptv_hub.text import visible
from ptv_hub.zoo.builder_specs import POOLINGS, BuilderSpec, HeadSpec
from ptv_hub.zoo.input_spec import InputSpec, Protocol
from ptv_hub.zoo.names import Below, Line, Name
from ptv_hub.zoo.records import Record, Sha256


class ArtifactRow(Record):
    """One file that can be fetched, as a manifest's row names it."""

    zoo: Line
    """Which collection it belongs to: ``pyslowfast`` or ``official``, or a name of one's own."""
    layout: Line
    """Key scheme of the file, a name of ``layouts.LAYOUTS``."""
    path: Below
    """Address of the file below the manifest's ``base_url``."""
    size: Annotated[int, Field(gt=0)] | None = None
    """Bytes, null where nobody has stated them."""
    sha256: Sha256 | None = None
    sha256_begins: Annotated[str, Field(pattern=r"^[0-9a-f]{8,63}$")] | None = None
    """The first digits of the file's sha256, where its owner states no more than these."""
    hash_source: Line | None = None
    """Who vouches for size and hash; null exactly when there is neither."""

    @model_validator(mode="after")
    def _hash_has_source(self) -> Self:
        stated = (self.size, self.sha256, self.sha256_begins)
        if all(fact is None for fact in stated) != (self.hash_source is None):
            raise ValueError("hash_source must be given exactly when size or a hash is")
        return self

    def may_be(self, sha256: str) -> bool:
        """Whether the first digits of a file's hash are those that its owner states, if any."""
        return self.sha256_begins is None or sha256.startswith(self.sha256_begins)


BESIDE = "beside:"
"""With a folder behind it in place of an address: the files lie there, beside their manifest."""


class Artifact(ArtifactRow):
    """One file that can be fetched, or that lies beside its manifest."""

    base_url: Line
    """The address that ``PTV_HUB_MIRROR`` stands in for, without a final slash."""

    @property
    def url(self) -> str:
        """Its address; of a file beside its manifest the path from where that folder lies."""
        base = self.base_url
        return f"{Path(base).name if base.startswith(BESIDE) else base}/{self.path}"

    @property
    def beside(self) -> Path | None:
        """The file itself, where it lies beside its manifest: nothing is to be fetched then."""
        if not self.base_url.startswith(BESIDE):
            return None
        return Path(self.base_url.removeprefix(BESIDE)) / self.path

    @model_validator(mode="after")
    def _vouched_for(self) -> Self:
        if self.beside is not None and (self.sha256 is None or self.size is None):
            raise ValueError("a file beside its manifest needs size and sha256")
        return self


class Published(Record):
    """The row of the zoo's table, as printed; null what it does not print."""

    top1: float | None = None
    top5: float | None = None
    mean_average_precision: float | None = None
    gflops: float | None = None
    """Multiply-adds of one view at test size plus those of its batch norms, 1e9."""
    params_millions: float | None = None
    per_norm_element: Literal[5, 2] = 5
    """Operations that the table counts for each element into a batch norm: fvcore's 5 of a model
    in training mode (PySlowFast), or its 2 of one in eval mode (MMAction2)."""
    decimals: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]] = (2, 2)
    """How many decimals the table prints of GFLOPs and of parameters."""
    url: Line
    """The row's link, as printed."""

    @property
    def printed(self) -> tuple[str | None, str | None]:
        """GFLOPs and millions of parameters as the table prints them."""
        pairs = zip((self.gflops, self.params_millions), self.decimals, strict=True)
        told = [None if value is None else f"{value:.{places}f}" for value, places in pairs]
        return told[0], told[1]


class ValidationSet(Record):
    """By what the list of the videos is known that the published numbers were measured on."""

    fewest: Annotated[int, Field(gt=0)]
    """Videos of the smallest copy in use; links die, and copies lose some."""
    most: Annotated[int, Field(gt=0)]
    """Videos of the owners' list."""
    digests: tuple[Sha256, ...] = ()
    """Of lists (``Listing.digest``) that are known to be it, whatever their number of videos."""
    source: str
    """Who says so."""


class Erratum(Record):
    """A figure of the table that does not hold: shown with both numbers, never hidden."""

    field: Line
    """The field of the entry, dotted: ``published.gflops``."""
    printed: Line
    found: Line
    reason: Line


Reproduced = Literal["held", "within loss", "differs"]
"""What a measured number says of the published one: ``evaluation.reproduced`` defines it."""


class Measured(Record):
    """An accuracy, measured by the published protocol with the published file."""

    top1: float | None = None
    """Percent, as the others."""
    top5: float | None = None
    mean_average_precision: float | None = None
    scored: Annotated[int, Field(gt=0)]
    """Videos."""
    listed: Annotated[int, Field(gt=0)]
    lost: Annotated[float, Field(ge=0, le=100)]
    """Percent of the owners' list that has no score."""
    reproduced: Reproduced | None = None
    """Null where it cannot be told."""


class Attested(Record):
    """Who fetched the published files and looked at them, and when (``ptv-hub attest``)."""

    by: Line
    on: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    """The day, UTC."""
    measured: Measured | None = None


class License(Record):
    """What the owners state, and what they do not."""

    code: Line
    weights: Line | None = None
    note: str = ""

    @property
    def caution(self) -> str | None:
        """What to know before the weights are used or passed on; ``None`` where nothing is."""
        if self.weights is None:
            return "the owners state no licence for these weights"
        if re.search(r"(?i)\bNC\b|non-?commercial", self.weights):
            return f"the licence of these weights ({self.weights}) forbids commercial use"
        return None


class Paper(Record):
    title: Line
    authors: Line
    year: int
    url: Line


class LeftOut(Record):
    """A row of a table that is not served, and why."""

    name: Line
    """As in the table, or the base name of its file."""
    reason: Line
    url: Line | None = None
    sha256_begins: Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$")] | None = None


class EntryRow(Record):
    """One row of a manifest: an entry but for what its manifest says of all its rows."""

    name: Name
    """The hub name: ``slowfast_r50``."""
    zoo_name: Line
    """Base name of the file and of the config: ``SLOWFAST_8x8_R50``."""
    config: Line
    """Path of PySlowFast's config, without suffix: ``Kinetics/pytorchvideo/SLOWFAST_8x8_R50``."""
    arch: Line
    """As in the table: ``SlowFast``."""
    depth: Line
    """As in the table: ``R50``; of an X3D its size: ``XS``."""
    pretrain: Line | None = None
    """Data set the training began from; null for none."""
    frame_length: Annotated[int, Field(gt=0)]
    """As in the table, of the slow pathway."""
    sample_rate: Annotated[int, Field(gt=0)]
    builder: BuilderSpec
    num_classes: Annotated[int, Field(gt=0, le=1_000_000)]
    artifacts: tuple[ArtifactRow, ...]
    """In order of preference."""
    input: InputSpec
    head: HeadSpec = HeadSpec()
    protocol: Protocol
    published: Published | None = None
    errata: tuple[Erratum, ...] = ()
    num_params: Annotated[int, Field(gt=0)] | None = None
    digest: Sha256 | None = None
    """Of the tensors (``digest.py``), where somebody has stated it; the zoo's owners never did."""
    attested: Attested | None = None
    """Who saw the files; null where nobody has."""
    paper: Paper | None = None
    demonstration: bool = False
    """Whether it is here to show that things work, and no model of the zoo."""
    zoo: Line | None = None
    """The collection it belongs to, its manifest's; null for those that a plain list shows."""
    dataset: Line | None = None
    """Where it is another than its manifest's."""
    labels: Below | tuple[Line, ...] | None = None
    """Where they are others than its manifest's."""
    license: License | None = None
    """Where it is another than its manifest's."""
    source: Line | None = None
    """Where the row stands, if not where its manifest says."""
    validation: ValidationSet | None = None
    """Of the data set, where it is another than the manifest's; null where nothing is known."""

    @model_validator(mode="after")
    def _pathways(self) -> Self:
        if (self.builder.name == "slowfast") != (self.input.slowfast_alpha is not None):
            raise ValueError(
                "slowfast_alpha must be given for the slowfast builder, and only for it"
            )
        return self

    @model_validator(mode="after")
    def _head_of_builder(self) -> Self:
        poolings = POOLINGS.get(self.builder.name, ("windowed", "global"))
        if self.head.pooling not in poolings:
            raise ValueError(
                f"a head that pools {self.head.pooling!r} is not for the builder"
                f" {self.builder.name!r}: {' or '.join(poolings)}"
            )
        return self


class Entry(EntryRow):
    """One model of the zoo, with everything that its weights need to be used rightly."""

    dataset: Line
    """Name of the data set the weights were trained for: ``kinetics400``."""
    labels: tuple[Line, ...]
    """Class names in index order; empty where the manifest gives none."""
    artifacts: tuple[Artifact, ...]
    """Its files, in order of preference."""
    license: License
    """Of code and weights, as far as their owners say."""
    source: Line
    """Where the row was read."""

    @property
    def frames(self) -> str:
        """Frame length x sample rate, as in the table: ``8x8``."""
        return f"{self.frame_length}x{self.sample_rate}"

    def __repr__(self) -> str:
        words = f"{self.arch} {self.depth} {self.frames}, {self.dataset}"
        return visible(f"<Entry {self.name}: {words}>")

    __str__ = __repr__

    def _repr_html_(self) -> str:
        from ptv_hub.pages import notebook  # the rooms of every start have no need of it

        spec, published = self.input, self.published
        accuracy = getattr(published, self.protocol.metric, None)
        costs = (None, None) if published is None else published.printed
        rows = [
            ("model", f"{self.arch} {self.depth} {self.frames}"),
            ("trained for", f"{self.dataset} ({self.num_classes} classes)"),
            ("input", f"{spec.num_frames} frames of {spec.crop_size} x {spec.crop_size} pixels"),
            ("views", f"{self.protocol.num_clips} clips x {self.protocol.num_crops} crops"),
            (f"{self.protocol.metric}, % as published", f"{accuracy:.2f}" if accuracy else "-"),
            ("GFLOPs of one view", costs[0] or "-"),
            ("parameters, millions", costs[1] or "-"),
            ("licence of the weights", self.license.weights or "not stated"),
        ]
        return notebook.table(self.name, rows)

    @model_validator(mode="after")
    def _labels(self) -> Self:
        if self.labels and len(self.labels) != self.num_classes:
            raise ValueError(
                f"num_classes is {self.num_classes}, but there are {len(self.labels)} labels"
            )
        return self
