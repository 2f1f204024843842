"""What is known of where a model's weights came from, in a frozen record."""

from __future__ import annotations

from ptv_hub.zoo.records import Record


class Origin(Record):
    """Whose a loaded model's weights are, as far as anybody can tell."""

    source: str
    """The file, or the address it was fetched from."""
    file: str | None = None
    """Where it lies here."""
    grounds: str | None = None
    """What ties these bytes to the entry: a hash, a digest, a pin; ``None`` where nothing does."""
    says: str | None = None
    """Which other model the file says it is of, where that was overruled."""

    @property
    def published(self) -> bool:
        """Whether they are known to be those that the entry's published numbers were made with."""
        return self.grounds is not None and self.says is None

    @property
    def told(self) -> str:
        """One line for every result that these weights gave."""
        if self.says is not None:
            return f"weights: {self.source}, which says it is of another model ({self.says})"
        if self.grounds is None:
            return f"weights: {self.source}, not known to be the published ones"
        return f"weights: {self.source}, the entry's own ({self.grounds})"

    @property
    def doubt(self) -> str | None:
        """As ``told``, where it is to be borne in mind."""
        return None if self.published else self.told
