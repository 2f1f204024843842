"""What users of Hugging Face libraries reach for on a model: from the Hub, and there again.

Fetching and publishing stand above this room. What is called here goes through the package's own
face, which knows every wing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from torch import nn
from typing_extensions import Self

if TYPE_CHECKING:
    import ptv_hub


class HubHabits(nn.Module):
    """The part of a ``VideoModel`` that users know from ``huggingface_hub``'s ``ModelHubMixin``."""

    @classmethod
    def from_pretrained(
        cls, name: str | os.PathLike[str], *, revision: str | None = None, **options: Any
    ) -> Self:
        """A model of the Hugging Face Hub (``org/name``), of a folder, or of the zoo.

        What is a folder or a file here comes first; a name with a slash is a repository, one
        without is a model of the zoo. ``options`` are ``load``'s; in eval mode.

        Raises:
            UsageError: a revision of what has none. All else as ``load``.
        """
        import ptv_hub

        model: Self = ptv_hub.load(ptv_hub.hub_address(name, revision), **options)
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
