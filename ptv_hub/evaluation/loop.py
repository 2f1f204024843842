"""Model + items + protocol -> result: the road of an evaluation, from the list to the numbers."""

from __future__ import annotations

import hashlib
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ptv_hub import environment
from ptv_hub.datasets.decoding import End, Failure
from ptv_hub.datasets.listing import Item, Listing
from ptv_hub.engines.optimized import DTYPES, INT8
from ptv_hub.errors import EvaluationError, UsageError
from ptv_hub.evaluation.asked import Items, entry_of, wanted_listing, wanted_model, wanted_protocol
from ptv_hub.evaluation.collected import Collected, collect, write_scores
from ptv_hub.evaluation.doubts import doubts
from ptv_hub.evaluation.result import EvalResult
from ptv_hub.evaluation.scoring import Scored, Scorer, check_place, failed
from ptv_hub.evaluation.summary import QUANTIZATION, summarize
from ptv_hub.files import write_text
from ptv_hub.inference.batching import device_of
from ptv_hub.models.digest import digest
from ptv_hub.runs import queue as shards
from ptv_hub.runs.database import alone
from ptv_hub.runs.engine import through
from ptv_hub.runs.journal import Journal, Row, Writer, done, name_of
from ptv_hub.runs.settings import Header, Settings
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.input_spec import Protocol

log = logging.getLogger("ptv_hub")


def evaluate(
    model: Scored | Entry | str | os.PathLike[str],
    items: Items,
    protocol: Protocol | None = None,
    *,
    views: str | Sequence[int] | None = None,
    weights: str | os.PathLike[str] | None = None,
    any_weights: bool = False,
    device: str | torch.device | None = None,
    out: str | os.PathLike[str] | None = None,
    batch_views: int | None = None,
    workers: int = 0,
    dtype: str = "fp32",
    keep_views: bool = False,
    validation_set: bool = False,
    preprocess: str = "host",
    progress: bool = False,
) -> EvalResult | None:
    """Score every video as the protocol says, and tell how the model did.

    Args:
        model: a loaded model, or what ``load`` takes, with ``weights``, ``any_weights`` and
            ``device`` as for ``predict``; of another callable with an ``entry`` the output is
            taken for scores.
        items: a listing of ``datasets.reading.read_listing``, the path that it takes, or pairs of
            a video (a path) and its label (an index, or several).
        protocol: the entry's if not given; ``views`` are its clips x crops alone.
        out: a folder for the journal and the results. The same call goes on where one was
            interrupted. Without it nothing is kept.
        batch_views: views of one video at once; one clip's if not given. A batch never holds
            views of two videos, so that no score depends on its neighbours.
        workers: processes that decode ahead of the model; 0 decodes between its runs. A
            script then needs its ``if __name__ == "__main__":``.
        dtype: ``fp32``, ``bf16`` or ``fp16`` (by autocast); of an optimized model its own.
        keep_views: also keep the scores of each view.
        validation_set: your word that the items are the validation set of the published numbers.
        preprocess: ``device`` sends frames of uint8 to the model's device and normalises and
            resizes them there: a quarter of the bytes or less, and values up to 1e-5 off.
            ``nvdec`` decodes them there too, by torchcodec, without workers: other pixels.
        progress: show a bar on stderr.

    Returns:
        The result; under ``torchrun`` on rank 0, when all ranks are through, and ``None`` on
        the others.

    Raises:
        EvaluationError: the folder holds another run, or one that is running; or some videos
            have no scores here, as ranks on other machines have folders of their own.
        WriteError: the folder cannot be written, or its disk is full; what was scored is kept.
        DataError: items that do not hold together.
        WrongInput: a model that does not fit.
    """
    net = wanted_model(model, weights, any_weights, device)
    entry = entry_of(net)
    _require_whole_videos(entry)
    protocol = wanted_protocol(entry, protocol, views)
    listing = wanted_listing(items, entry).checked(entry)
    _check_choices(net, dtype, workers, batch_views)
    check_place(net, preprocess, workers)
    header = _header(net, entry, protocol, listing, dtype, keep_views, preprocess)
    size = batch_views or protocol.num_crops
    scorer = Scorer(net, entry, header.settings, batch_views=size)
    found = doubts(net, entry, listing, header.settings.weights, validation_set=validation_set)
    facts = {**_facts(net, size, workers), **found, **_quantization(net)}
    return _run(scorer, listing, header, out, workers, progress, facts)


def _require_whole_videos(entry: Entry) -> None:
    if entry.head.takes_boxes:
        raise UsageError(
            "models for detection are not evaluated here: AVA's metric matches boxes",
            found=entry.name,
            fix="ptv_hub.predict_boxes scores boxes; AVA's own evaluation takes such scores",
        )


def _header(
    model: Scored,
    entry: Entry,
    protocol: Protocol,
    listing: Listing,
    dtype: str,
    keep_views: bool,
    preprocess: str,
) -> Header:
    quantized = getattr(model, "quantized", None)
    return Header(
        settings=Settings(
            model=entry.name,
            num_classes=entry.num_classes,
            weights=_weights(model),
            protocol=protocol,
            backend=getattr(model, "backend", "eager"),
            dtype=dtype,
            videos=listing.digest,
            keep_views=keep_views,
            quantized=None if quantized is None else quantized.identity,
            preprocess=preprocess,
        ),
        entry=entry,
        part=listing.part,
        files=tuple(path.name for path in listing.files),
        notes=listing.notes,
    )


def _check_choices(model: object, dtype: str, workers: int, batch_views: int | None) -> None:
    if dtype not in (*DTYPES, INT8):
        raise UsageError("no such dtype", expected=", ".join((*DTYPES, INT8)), found=repr(dtype))
    if workers < 0 or (batch_views is not None and batch_views < 1):
        raise UsageError(
            "workers and batch_views count",
            expected="workers of 0 or more, batch_views of 1 or more",
            found=f"workers={workers}, batch_views={batch_views}",
        )
    if dtype == INT8 and not hasattr(model, "backend"):
        raise UsageError(
            "int8 is of a model that was quantized",
            fix='ptv_hub.optimize(model, "openvino", dtype="int8", calibration=...)',
        )
    own = getattr(model, "dtype", dtype) if hasattr(model, "backend") else dtype
    if own != dtype:
        raise UsageError("an optimized model has its own dtype", expected=own, found=dtype)


def _run(
    scorer: Scorer,
    listing: Listing,
    header: Header,
    out: str | os.PathLike[str] | None,
    workers: int,
    progress: bool,
    facts: dict[str, Any],
) -> EvalResult | None:
    """This rank's part of a run; and of the first rank, when all are through, the result."""
    settings = header.settings.model_dump_json()
    with ExitStack() as stack:
        run = hashlib.sha256(settings.encode()).hexdigest()
        queue = stack.enter_context(shards.queue(run))
        journal, known = _journal(out, queue, header, stack)
        ranks = {"rank": queue.rank, "world_size": queue.world_size}
        journal.begin(header, listing.items, {**facts, **ranks})
        bar = stack.enter_context(_bar(listing, known, queue, progress))
        going = _Going(scorer, journal, listing, queue, workers, bar)
        going.score(queue.places(len(listing.items)), known)
        left = queue.left_behind(len(listing.items))
        if queue.rank:
            return None
        if out is None:
            return summarize(Collected([journal]))
        if left:
            log.warning("ranks are gone, or gave up: what they left of their videos is done here")
            going.score(iter(left), done(Path(out), header.settings))
        return _complete(finish(Path(out), collect([Path(out)], stack)), Path(out))


def _complete(result: EvalResult, out: Path) -> EvalResult:
    """The result, if no video is missing from it."""
    if result.counts.pending:
        raise EvaluationError(
            f"{result.counts.pending} of {result.counts.listed} videos are not scored",
            where=out,
            expected="the journals of all ranks in one folder",
            found=f"{result.counts.scored} scored, {result.counts.failed} failed",
            fix="run the same again; or, where ranks had folders of their own, join them: "
            "ptv-hub eval --merge DIR --merge DIR --out JOINED",
        )
    return result


def finish(out: Path, collected: Collected) -> EvalResult:
    """Summarize journals, and write ``result.json`` and ``scores.npz`` into a folder.

    Raises:
        WriteError: it cannot be written.
    """
    result = summarize(collected)
    write_text(out / "result.json", result.model_dump_json(indent=2) + "\n")
    write_scores(collected, out / "scores.npz")
    return result


def _weights(model: object) -> str | None:
    """The digest of a model's weights; an optimized one knows that of those it was made from."""
    known: str | None = getattr(model, "weights_digest", None)
    if known is None and hasattr(model, "state_dict"):
        return digest(model.state_dict())
    return known


def _journal(
    out: str | os.PathLike[str] | None, queue: shards.Queue, header: Header, stack: ExitStack
) -> tuple[Journal, dict[str, bool]]:
    """This rank's journal, alone in its hands, and what was done in all journals before."""
    if out is None:
        if queue.world_size > 1:
            raise UsageError("several ranks need a folder in common", fix="give out")
        return stack.enter_context(Journal(None)), {}
    folder = Path(out)
    path = folder / name_of(queue.rank)
    alone(path, stack)
    journal = stack.enter_context(Journal(path))
    return journal, done(folder, header.settings)


def _quantization(model: object) -> dict[str, Any]:
    """What is known of a model in int8, for the report."""
    quantized = getattr(model, "quantized", None)
    return {} if quantized is None else {QUANTIZATION: quantized.record.told}


def _facts(model: object, batch_views: int, workers: int) -> dict[str, Any]:
    """What a session runs on, for the report."""
    return {
        **environment.versions("torch", "av"),
        **environment.system(),
        "device": environment.device_name(device_of(model)),
        "threads": environment.threads(),
        "batch_views": batch_views,
        "workers": workers,
    }


@contextmanager
def _bar(
    listing: Listing, known: dict[str, bool], queue: shards.Queue, progress: bool
) -> Iterator[Any]:
    from tqdm.auto import tqdm

    with tqdm(
        total=len(listing.items),
        initial=sum(known.get(item.id, False) for item in listing.items),
        unit="video",
        disable=not progress or queue.rank > 0,
        file=sys.stderr,
        dynamic_ncols=True,
        smoothing=0.05,
    ) as bar:
        yield bar


@dataclass
class _Going:
    """A run on its way: videos of the list are taken, and what becomes of each is kept."""

    scorer: Scorer
    journal: Journal
    listing: Listing
    queue: shards.Queue
    workers: int
    bar: Any
    right: int = 0
    scored: int = 0
    lost: int = 0

    def __post_init__(self) -> None:
        self.before = self.bar.n

    def score(self, places: Iterator[int], known: Mapping[str, bool]) -> None:
        """Score what stands at these places of the list, but for what is known to be."""
        scorer = self.scorer
        with scorer.activated(), torch.inference_mode(), Writer(self.journal) as writer:
            items = self._to_decode(places, known, writer)
            for outcome in through(items, scorer.reading, scorer.batches(), self.workers):
                self._keep(writer, outcome.item, scorer.row(outcome))

    def _to_decode(
        self, places: Iterator[int], known: Mapping[str, bool], writer: Writer
    ) -> Iterator[Item]:
        for place in places:
            item = self.listing.items[place]
            if known.get(item.id):
                continue
            if item.problem:
                failure = Failure("the annotation cannot be used", item.problem)
                self._keep(writer, item, failed(item, failure, End(0.0)))
            else:
                yield item

    def _keep(self, writer: Writer, item: Item, row: Row) -> None:
        writer.add(row)
        if row.scores is None:
            self.lost += 1
        else:
            self.scored += 1
            self.right += int(row.scores.argmax()) in item.labels
        if self.scored and self.scorer.protocol.metric == "top1":
            top1 = 100 * self.right / self.scored
            self.bar.set_postfix_str(f"top-1 {top1:.2f}, failed {self.lost}", refresh=False)
        elif self.lost:
            self.bar.set_postfix_str(f"failed {self.lost}", refresh=False)
        self.bar.update(self.before + self.queue.finished() - self.bar.n)
