"""What a repository of a model holds, and what its ``config.json`` says of it.

``hf-hub:org/name`` and ``hf-hub:org/name@revision`` are repositories of the Hugging Face Hub, as
``ptv-hub push`` makes them; ``local-dir:PATH`` is a folder with the same files. Their
``config.json`` holds the entry, so that models of no manifest load as well, and the hash of
``model.safetensors``, without which nothing of it is used.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from ptv_hub.zoo.claims import without_vouchers
from ptv_hub.zoo.entry import Artifact, Entry
from ptv_hub.zoo.names import Line
from ptv_hub.zoo.records import Record, Sha256

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "README.md"
LICENSE_FILE = "LICENSE.md"
CHART_FILE = "accuracy_against_flops.png"
MODELING_FILE = "modeling_ptv_hub.py"
PROCESSOR_FILE = "video_preprocessor_config.json"

FILES = (
    *(WEIGHTS_FILE, CONFIG_FILE, CARD_FILE, LICENSE_FILE, CHART_FILE),
    *(MODELING_FILE, PROCESSOR_FILE),
)
"""What a repository holds; the chart only where there are published figures to draw, the last two,
by which transformers loads it, unless it scores boxes."""

HUB, FOLDER = "hf-hub:", "local-dir:"


class WeightsFile(Record):
    """What ``model.safetensors`` is."""

    layout: Line = "official"
    size: Annotated[int, Field(gt=0)]
    """Bytes."""
    sha256: Sha256
    digest: Sha256
    """Over the tensors (``digest.py``): the same in every layout and format."""


class Provenance(Record):
    """Where the weights of a repository came from."""

    source: Line
    """The address they were fetched from, or the name of a local file."""
    sha256: Sha256
    """Of the source file, before it was converted."""
    vouched_by: Line | None
    """Who vouches for that hash; null where nobody does."""
    evidence: Line
    """On what grounds the file is taken to be this model's."""
    converted_by: Line


class HubConfig(Record):
    """The ``config.json`` of a repository."""

    # Other tools of the Hub write keys of theirs into this file; ours are strict further down.
    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    library_name: Literal["ptv_hub"]
    schema_version: Literal[1]
    entry: dict[str, Any]
    """The entry but for its labels."""
    weights: WeightsFile
    provenance: Provenance
    id2label: dict[int, str]
    label2id: dict[str, int]

    @classmethod
    def of(cls, item: Entry, weights: WeightsFile, provenance: Provenance) -> HubConfig:
        """The config of a repository with these weights."""
        published = tuple(a for a in item.artifacts if not (is_address(a.base_url) or a.beside))
        item = item.model_copy(update={"artifacts": published, "digest": weights.digest})
        return cls(
            library_name="ptv_hub",
            schema_version=1,
            entry=item.model_dump(mode="json", exclude={"labels"}),
            weights=weights,
            provenance=provenance,
            id2label=dict(enumerate(item.labels)),
            label2id={label: index for index, label in enumerate(item.labels)},
        )

    def restored(self, address: str) -> Entry:
        """The entry, with the repository's own file before those of its zoo.

        That others vouch for it is not taken from here (``claims``).
        """
        labels = tuple(self.id2label[index] for index in range(len(self.id2label)))
        item = without_vouchers(Entry.model_validate({**self.entry, "labels": labels}))
        own = Artifact(
            zoo=address.partition(":")[0],
            layout=self.weights.layout,
            path=WEIGHTS_FILE,
            size=self.weights.size,
            sha256=self.weights.sha256,
            hash_source=f"{CONFIG_FILE} beside it",
            base_url=address,
        )
        return item.model_copy(update={"artifacts": (own, *item.artifacts)})


def own_file(item: Entry) -> Artifact | None:
    """The file beside the config that an entry was read from; ``None`` of a manifest's entry."""
    first = next(iter(item.artifacts), None)
    return first if first is not None and is_address(first.base_url) else None


def stated_by(item: Entry) -> str:
    """Who says what an entry says of its digest and its parameters."""
    if own_file(item) is not None:
        return "its own config"
    seen = item.attested
    return "the manifest" if seen is None else f"attested on {seen.on} by {seen.by}"


def is_address(name: object) -> bool:
    """Whether this is ``hf-hub:...`` or ``local-dir:...``."""
    return isinstance(name, str) and name.startswith((HUB, FOLDER))
