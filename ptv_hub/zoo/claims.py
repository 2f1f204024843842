"""What an entry may say that no manifest here says: a repository, or a checkpoint, brought it.

Whoever wrote it can write that others vouch for it. That a zoo has a file, that somebody published
a hash of it or a figure, is believed of the manifests alone, which users name themselves.
"""

from __future__ import annotations

from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.manifest import all_entries


def without_vouchers(item: Entry) -> Entry:
    """The entry with those files, figures, errata and attestations alone that a manifest has."""
    known = all_entries()
    files = {artifact for other in known for artifact in other.artifacts}
    alike = [other for other in known if item.published and _publishes(other, item)]
    published = bool(alike)
    return item.model_copy(
        update={
            "artifacts": tuple(artifact for artifact in item.artifacts if artifact in files),
            "published": item.published if published else None,
            "errata": item.errata if published else (),
            "attested": alike[0].attested if alike else None,
        }
    )


def _publishes(known: Entry, item: Entry) -> bool:
    """Whether what the entry says was published is what the manifest says of the same model."""
    told = ("name", "builder", "input", "dataset", "num_classes", "published", "errata")
    return all(getattr(known, field) == getattr(item, field) for field in told)
