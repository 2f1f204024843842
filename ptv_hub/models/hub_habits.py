"""What users of Hugging Face libraries reach for on a model: from the Hub, and there again.

Fetching and publishing stand above this room. What is called here goes through the package's own
face, which knows every wing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import nn
from typing_extensions import Self

from ptv_hub.errors import UsageError
from ptv_hub.zoo.entry import Entry

if TYPE_CHECKING:
    import ptv_hub


_OURS = {"num_labels": "num_classes", "device_map": "device"}
"""transformers' word -> that of ``load``."""
_IMPLIED = ("ignore_mismatched_sizes", "label2id")


def _as_ours(options: dict[str, Any], labels: tuple[str, ...] | None) -> dict[str, Any]:
    """Options of ``load``, of such that users of transformers write."""
    found = {_OURS.get(key, key): v for key, v in options.items() if key not in _IMPLIED}
    return found if labels is None else {"num_classes": len(labels), **found}


def _labels(names: Mapping[Any, str] | None) -> tuple[str, ...] | None:
    """The names of ``id2label`` in the order of their numbers, which JSON makes texts."""
    if names is None:
        return None
    numbered = {str(number): name for number, name in names.items()}
    order = [str(number) for number in range(len(numbered))]
    if sorted(numbered) != sorted(order):
        raise UsageError(
            "id2label does not number its labels from 0",
            expected="{0: 'one', 1: 'two', ...}",
            found=", ".join(list(numbered)[:5]),
        )
    return tuple(numbered[number] for number in order)


class HubHabits(nn.Module):
    """The part of a ``VideoModel`` that users know from ``huggingface_hub``'s ``ModelHubMixin``."""

    entry: Entry

    @classmethod
    def from_pretrained(
        cls, name: str | os.PathLike[str], *, revision: str | None = None, **options: Any
    ) -> Self:
        """A model of the Hugging Face Hub (``org/name``), of a folder, or of the zoo.

        What is a folder or a file here comes first; a name with a slash is a repository, one
        without is a model of the zoo. ``options`` are ``load``'s; in eval mode. Of transformers'
        words ``num_labels``, ``id2label`` and ``device_map`` are understood, and
        ``ignore_mismatched_sizes``, which a new number of classes implies.

        Raises:
            UsageError: a revision of what has none; labels that are not numbered from 0. All else
                as ``load``.
        """
        import ptv_hub

        labels = _labels(options.pop("id2label", None))
        model: Self = ptv_hub.load(ptv_hub.hub_address(name, revision), **_as_ours(options, labels))
        if labels is not None:
            if len(labels) != model.num_classes:
                raise UsageError(
                    "a classifier has as many labels as classes, or none",
                    expected=f"{model.num_classes} labels",
                    found=f"id2label has {len(labels)}",
                )
            model.entry = model.entry.model_copy(update={"labels": labels})
        return model

    def save_pretrained(self, folder: str | os.PathLike[str], *, name: str | None = None) -> None:
        """Write weights and config into a folder, from which ``from_pretrained`` and transformers
        load. Raises as ``ptv_hub.save``."""
        import ptv_hub

        ptv_hub.save(self, folder, name=name)  # type: ignore[arg-type]

    def push_to_hub(self, repo_id: str, **options: Any) -> ptv_hub.Pushed:
        """Publish the model as it is now, with a card of what was proven: ``ptv_hub.push``, whose
        options are ``private``, ``revision``, ``create_pr``, ``dry_run`` and ``folder``."""
        import ptv_hub

        return ptv_hub.push(self, repo_id, **options)  # type: ignore[arg-type]
