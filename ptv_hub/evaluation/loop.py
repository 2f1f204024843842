"""Model + items + protocol -> result: the road of an evaluation, from the list to the numbers."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ptv_hub._version import __version__
from ptv_hub.datasets.decoding import End, Failure, Message, decode
from ptv_hub.datasets.listing import Item, Listing
from ptv_hub.engines.optimized import DTYPES
from ptv_hub.errors import EvaluationError, UsageError, WriteError, WrongInput
from ptv_hub.evaluation.result import EvalResult
from ptv_hub.evaluation.summary import Collected, collect, summarize, write_scores
from ptv_hub.files import atomic_write
from ptv_hub.inference.predict import ensemble
from ptv_hub.inference.transforms import pack
from ptv_hub.models.digest import digest
from ptv_hub.runs import queue as shards
from ptv_hub.runs.journal import Header, Journal, Row, Settings, Writer, done, name_of
from ptv_hub.runs.pool import Pool
from ptv_hub.zoo.entry import Entry, Protocol


def evaluate(
    model: Any,
    items: Listing | Iterable[Item | tuple[Any, Any]],
    protocol: Protocol | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    batch_views: int | None = None,
    workers: int = 0,
    dtype: str = "fp32",
    keep_views: bool = False,
    progress: bool = False,
) -> EvalResult | None:
    """Score every video as the protocol says, and tell how the model did.

    Args:
        model: a loaded model, in eval mode, on the device it is to run on, or an optimized one;
            of another callable that carries an ``entry`` the output is taken for scores.
        items: a listing of ``ptv_hub.datasets.read``, or pairs of a video (a path or a folder
            of frames) and its label (an index, or several).
        protocol: clips, crops, activation and ensemble; the entry's if not given.
        out: a folder for the journal and the results. The same call goes on where one was
            interrupted. Without it nothing is kept.
        batch_views: views of one video that go through the model at once; one clip's if not
            given. A batch never holds views of two videos, so that no score depends on its
            neighbours.
        workers: processes that decode ahead of the model; 0 decodes between its runs. A
            script then needs its ``if __name__ == "__main__":``.
        dtype: ``fp32``, ``bf16`` or ``fp16`` (by autocast).
        keep_views: also keep the scores of each view.
        progress: show a bar on stderr.

    Returns:
        The result; under ``torchrun`` on rank 0, when all ranks are through, and ``None`` on
        the others.

    Raises:
        EvaluationError: the folder holds another run, or one that is running.
        WriteError: the folder cannot be written, or its disk is full; what was scored is kept.
        DataError: items that do not hold together.
        WrongInput: a model that does not fit.
    """
    entry = _entry(model)
    protocol = protocol or entry.protocol
    listing = _listing(items).checked(entry)
    if dtype not in DTYPES:
        raise UsageError("no such dtype", expected=", ".join(DTYPES), found=repr(dtype))
    if workers < 0 or (batch_views is not None and batch_views < 1):
        raise UsageError(
            "workers and batch_views count",
            expected="workers of 0 or more, batch_views of 1 or more",
            found=f"workers={workers}, batch_views={batch_views}",
        )
    own = model.dtype if hasattr(model, "backend") else dtype
    if own != dtype:
        raise UsageError("an optimized model has its own dtype", expected=own, found=dtype)
    queue = shards.queue()
    size = batch_views or protocol.num_crops
    header = Header(
        settings=Settings(
            model=entry.name,
            num_classes=entry.num_classes,
            weights=_weights(model),
            protocol=protocol,
            backend=getattr(model, "backend", "eager"),
            dtype=dtype,
            videos=listing.digest,
            keep_views=keep_views,
        ),
        entry=entry,
        part=listing.part,
        files=tuple(path.name for path in listing.files),
        notes=listing.notes,
    )
    with ExitStack() as stack:
        journal, known = _journal(out, queue, header, stack)
        journal.begin(header, listing.items, _facts(model, size, workers, queue))
        scorer = _Scorer(model, protocol, size, dtype, keep_views)
        bar = stack.enter_context(_bar(listing, known, queue, progress))
        with scorer.activated(), torch.inference_mode(), Writer(journal) as writer:
            _score_all(scorer, writer, listing, known, queue, workers, bar)
        queue.wait_for_all()
        if queue.rank:
            return None
        if out is None:
            return summarize(Collected([journal]))
        return finish(Path(out), collect([Path(out)], stack))


def finish(out: Path, collected: Collected) -> EvalResult:
    """Summarize journals, and write ``result.json`` and ``scores.npz`` into a folder.

    Raises:
        WriteError: it cannot be written.
    """
    result = summarize(collected)
    with atomic_write(out / "result.json") as temporary:
        temporary.write_text(result.model_dump_json(indent=2) + "\n", encoding="utf-8")
    write_scores(collected, out / "scores.npz")
    return result


def _entry(model: Any) -> Entry:
    entry = getattr(model, "entry", None)
    if not isinstance(entry, Entry) or not callable(model):
        raise WrongInput(
            "not a model that can be evaluated",
            expected="what ptv_hub.load returns, or a callable with an Entry as 'entry'",
            found=f"a {type(model).__name__}",
        )
    if getattr(model, "training", False):
        raise UsageError(
            "the model is in training mode, and would give other scores each time",
            fix="model.eval()",
        )
    return entry


def _weights(model: Any) -> str | None:
    """The digest of a model's weights; an optimized one knows that of those it was made from."""
    known: str | None = getattr(model, "weights_digest", None)
    if known is None and hasattr(model, "state_dict"):
        return digest(model.state_dict())
    return known


def _listing(items: Listing | Iterable[Item | tuple[Any, Any]]) -> Listing:
    if isinstance(items, Listing):
        return items
    return Listing("", tuple(_item(item) for item in items), ())


def _item(item: Item | tuple[Any, Any]) -> Item:
    if isinstance(item, Item):
        return item
    video, labels = item
    indices = (labels,) if np.ndim(labels) == 0 else labels
    path = os.fspath(video)
    return Item(path, path, tuple(sorted(int(index) for index in indices)))


def _journal(
    out: str | os.PathLike[str] | None, queue: shards.Queue, header: Header, stack: ExitStack
) -> tuple[Journal, dict[str, bool]]:
    """This rank's journal, alone in its hands, and what was done in all journals before."""
    if out is None:
        if queue.world_size > 1:
            raise UsageError("several ranks need a folder in common", fix="give out")
        return stack.enter_context(Journal(None)), {}
    from filelock import FileLock, Timeout

    folder = Path(out)
    path = folder / name_of(queue.rank)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stack.enter_context(FileLock(path.with_suffix(".lock"), timeout=0))
    except Timeout as error:
        raise EvaluationError(
            "another process writes into this folder",
            where=folder,
            fix="wait for it, or give another --out",
        ) from error
    except OSError as error:
        raise WriteError.because(error, folder, fix="give another --out") from error
    journal = stack.enter_context(Journal(path))
    return journal, done(folder, header.settings)


def _facts(model: Any, batch_views: int, workers: int, queue: shards.Queue) -> dict[str, Any]:
    """What a session ran on, for the report."""
    import av

    device = _device(model)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "ptv_hub": __version__,
        "torch": torch.__version__,
        "av": av.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": f"{device.type} ({name})",
        "threads": torch.get_num_threads(),
        "batch_views": batch_views,
        "workers": workers,
        "rank": queue.rank,
        "world_size": queue.world_size,
    }


def _device(model: Any) -> torch.device:
    parameters: Callable[[], Iterator[Tensor]] | None = getattr(model, "parameters", None)
    first = next(iter(parameters()), None) if parameters else None
    return torch.device("cpu") if first is None else first.device


@contextmanager
def _bar(
    listing: Listing, known: dict[str, bool], queue: shards.Queue, progress: bool
) -> Iterator[Any]:
    from tqdm import tqdm

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


def _score_all(
    scorer: _Scorer,
    writer: Writer,
    listing: Listing,
    known: dict[str, bool],
    queue: shards.Queue,
    workers: int,
    bar: Any,
) -> None:
    """Take videos from the queue until it is empty, and keep what becomes of each."""
    before, right, scored, failed = bar.n, 0, 0, 0

    def keep(item: Item, row: Row) -> None:
        nonlocal right, scored, failed
        writer.add(row)
        if row.scores is None:
            failed += 1
        else:
            scored += 1
            right += int(row.scores.argmax()) in item.labels
        if scored and scorer.protocol.metric == "top1":
            bar.set_postfix_str(f"top-1 {100 * right / scored:.2f}, failed {failed}", refresh=False)
        elif failed:
            bar.set_postfix_str(f"failed {failed}", refresh=False)
        bar.update(before + queue.finished() - bar.n)

    def to_decode() -> Iterator[Item]:
        for place in queue.places(len(listing.items)):
            item = listing.items[place]
            if known.get(item.id):
                continue
            if item.problem:
                failure = Failure("the annotation cannot be used", item.problem)
                keep(item, _failed(item, failure, End(0.0), 0.0))
            else:
                yield item

    spec = scorer.entry.input
    if workers == 0:
        for item in to_decode():
            keep(item, scorer.row(item, decode(item, spec, scorer.protocol)))
        return
    pool = Pool(workers, spec, scorer.protocol)
    try:
        for item, messages in pool.run(to_decode()):
            keep(item, scorer.row(item, messages))
    finally:
        pool.close()


def _failed(item: Item, failure: Failure, end: End, model_seconds: float) -> Row:
    return Row(
        item.id, None, None, 0, failure.reason, failure.error, end.notes, end.seconds, model_seconds
    )


class _Scorer:
    """A model, and how views become the scores of a video."""

    def __init__(
        self, model: Any, protocol: Protocol, batch_views: int, dtype: str, keep_views: bool
    ) -> None:
        self.entry: Entry = model.entry
        self.protocol = protocol
        self._model = model
        self._size = batch_views
        self._keep_views = keep_views
        self._device = _device(model)
        self._cast = (
            nullcontext()
            if dtype == "fp32" or hasattr(model, "backend")
            else torch.autocast(self._device.type, dtype=DTYPES[dtype])
        )

    @contextmanager
    def activated(self) -> Iterator[None]:
        """The protocol's activation for the time being: a loaded model may return logits."""
        if not hasattr(self._model, "activation"):
            yield
            return
        before = self._model.activation
        self._model.activation = self.protocol.activation
        try:
            yield
        finally:
            self._model.activation = before

    def row(self, item: Item, messages: Iterator[Message]) -> Row:
        """What becomes of a video whose views come as these messages."""
        waiting: list[Tensor] = []
        outputs: list[Tensor] = []
        seconds, end = 0.0, End(0.0)
        for message in messages:
            if isinstance(message, End):
                end = message
                break
            waiting += message.views
            start = time.perf_counter()
            while len(waiting) >= self._size:
                outputs.append(self._forward(waiting[: self._size]))
                del waiting[: self._size]
            seconds += time.perf_counter() - start
        if end.failure:
            return _failed(item, end.failure, end, seconds)
        if waiting:
            start = time.perf_counter()
            outputs.append(self._forward(waiting))
            seconds += time.perf_counter() - start
        clips = torch.split(torch.cat(outputs), self.protocol.num_crops)
        views = torch.cat([clips[number] for number in end.clips])  # (views, classes)
        scores = ensemble(views, self.protocol.ensemble)
        if not torch.isfinite(scores).all():
            failure = Failure("the model's scores are not finite", "NaN or infinite scores")
            return _failed(item, failure, end, seconds)
        return Row(
            item.id,
            scores.numpy(),
            views.numpy() if self._keep_views else None,
            len(views),
            None,
            None,
            end.notes,
            end.seconds,
            seconds,
        )

    def _forward(self, views: list[Tensor]) -> Tensor:
        """Scores of a batch of views, float32, shape (B, classes)."""
        batch = torch.stack(views)
        if self._device.type == "cuda":
            # From pinned memory the copy runs beside the model's work on the last batch.
            batch = batch.pin_memory()
        batch = batch.to(self._device, non_blocking=True)
        with self._cast:
            scores = self._model(pack(batch, self.entry.input))
        wanted = (len(views), self.entry.num_classes)
        if not isinstance(scores, Tensor) or tuple(scores.shape) != wanted:
            raise WrongInput(
                "the model does not return a score for each view and class",
                expected=f"shape {wanted}",
                found=getattr(scores, "shape", type(scores).__name__),
            )
        return scores.float().cpu()
