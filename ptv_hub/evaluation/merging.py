"""Journals of several folders -> one: of ranks without a folder in common, of parts of a list."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from ptv_hub.datasets.listing import Listing
from ptv_hub.errors import EvaluationError
from ptv_hub.evaluation.collected import collect
from ptv_hub.evaluation.loop import finish
from ptv_hub.evaluation.result import EvalResult
from ptv_hub.files import ready_folder
from ptv_hub.runs.journal import Journal, journals, name_of


def merge(folders: Sequence[Path], out: Path) -> EvalResult:
    """Join journals into a new one in ``out``, and write its result there.

    The runs have to be of the same weights and protocol; their lists of videos are united. Of
    a video that stands in several a row with scores is taken.

    Raises:
        EvaluationError: no journals, journals of different runs, or one in ``out`` already.
        WriteError: ``out`` cannot be written.
    """
    ready_folder(out)
    if journals(out):
        raise EvaluationError(
            "the folder holds a journal already", where=out, fix="give a new folder as --out"
        )
    with ExitStack() as stack:
        collected = collect(folders, stack)
        listing = Listing(collected.header.entry.dataset, tuple(collected.items), ())
        settings = collected.header.settings.model_copy(update={"videos": listing.digest})
        header = collected.header.model_copy(
            update={"settings": settings, "part": collected.part, "notes": collected.notes}
        )
        journal = stack.enter_context(Journal(out / name_of(0)))
        for session in collected.sessions:
            facts = {name: value for name, value in session.items() if name != "started"}
            journal.begin(header, listing.items, facts, started=session["started"])
        journal.add(*(row for _, row in collected.rows(views=True) if row is not None))
        return finish(out, collect([out], stack))
