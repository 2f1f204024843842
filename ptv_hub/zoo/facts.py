"""What is known of one entry, in words: the rows that ``show``, cards, pages and docs render.

Nothing is said that the entry does not say: an entry of one's own has no paper and no published
figures, and is in no zoo.
"""

from __future__ import annotations

from dataclasses import dataclass

from ptv_hub.zoo.entry import Entry, Published

METRICS = {"top1": "top-1", "top5": "top-5", "mean_average_precision": "mAP"}
"""Field of a record of accuracies -> what the metric is called."""

Rows = tuple[tuple[str, str], ...]
"""What is told of, and what is told."""


@dataclass(frozen=True)
class Facts:
    """An entry in words, a group of rows each."""

    summary: str
    """``X3D M 16x5, trained for kinetics400 (400 classes)``."""
    model: Rows
    input: Rows
    protocol: Rows
    published: Rows
    """Empty where nothing is published."""
    attested: Rows
    """Empty where nobody has seen the published files."""
    errata: Rows
    licence: Rows
    paper: Rows


def facts(item: Entry) -> Facts:
    """All that is known of an entry but for its files and the names of its classes."""
    begun = f", pretrained on {item.pretrain}" if item.pretrain else ""
    trained = f"{item.dataset} ({item.num_classes} classes)"
    paper = item.paper
    return Facts(
        summary=f"{item.arch} {item.depth} {item.frames}, trained for {trained}{begun}",
        model=(
            ("zoo name", item.zoo_name),
            ("config", item.config),
            ("architecture", f"{item.arch} {item.depth}, {item.frames}"),
            ("trained for", trained),
            ("pretrained on", item.pretrain or "nothing"),
        ),
        input=_input(item),
        protocol=_protocol(item),
        published=_published(item.published),
        attested=_attested(item),
        errata=tuple(
            (e.field, f"printed {e.printed}, found {e.found}: {e.reason}") for e in item.errata
        ),
        licence=_licence(item),
        paper=() if paper is None else (("paper", f"{paper.title} ({paper.year}), {paper.url}"),),
    )


def figures(values: object) -> Rows:
    """The accuracies that a record of them states, percent: published ones, or measured ones."""
    stated = {told: getattr(values, field, None) for field, told in METRICS.items()}
    return tuple((f"{told} %", f"{v:.2f}") for told, v in stated.items() if v is not None)


def _input(item: Entry) -> Rows:
    spec = item.input
    order = spec.channel_order.upper()
    sampling = f"the middle frame of each of {spec.num_frames} equal segments of the video"
    if spec.clip_seconds is not None:
        sampling = (
            f"{spec.clip_seconds:.2f} s of the video a clip ({spec.num_frames} frames,"
            f" every {spec.sampling_rate} at {spec.target_fps} a second)"
        )
    rows = [
        ("frames", f"{spec.num_frames} of {spec.crop_size} x {spec.crop_size} pixels"),
        ("sampling", sampling),
        ("values", f"/ 255, minus {_told(spec.mean)}, over {_told(spec.std)}, {order}"),
        (
            "size",
            f"short side {spec.short_side}, bilinear without antialiasing, then"
            f" {'nothing: whole frames' if item.head.takes_boxes else 'square crops'}",
        ),
    ]
    if spec.slowfast_alpha:
        slow = spec.num_frames // spec.slowfast_alpha
        how = ", every one at its distance" if spec.slow_frames == "nearest" else ""
        rows.append(("slow pathway", f"{slow} of these frames{how}; taken inside the model"))
    return tuple(rows)


def _told(channels: tuple[float, float, float]) -> str:
    """One number where the channels agree."""
    return str(channels[0]) if len(set(channels)) == 1 else str(list(channels))


def _protocol(item: Entry) -> Rows:
    protocol = item.protocol
    views = f"{protocol.num_clips} clips x {protocol.num_crops} crops"
    return (
        ("views", f"{views}, {protocol.ensemble} over them"),
        ("scores", _scores(item)),
    )


def _scores(item: Entry) -> str:
    if item.head.pooling == "token":
        return f"{item.protocol.activation} of what the head makes of the class token"
    if item.head.takes_boxes:
        how = "aligned" if item.head.aligned else "not aligned"
        return f"{item.protocol.activation} for each box, cut out of the last map ({how} RoIAlign)"
    if item.head.pooling == "global":
        return f"{item.protocol.activation}, after a mean over the whole of the last map"
    return f"{item.protocol.activation} at each position of the head, then the mean over them"


def _published(published: Published | None) -> Rows:
    if published is None:
        return ()
    gflops, millions = published.printed
    costs = (("GFLOPs of one view", gflops), ("parameters, millions", millions))
    return (*figures(published), *((what, text) for what, text in costs if text is not None))


def _attested(item: Entry) -> Rows:
    found = item.attested
    if found is None:
        return ()
    rows = [("files seen", f"{found.on}, by {found.by}")]
    measured = found.measured
    if measured is not None:
        over = f"over {measured.scored} of {measured.listed} videos"
        said = measured.reproduced or "cannot be told"
        rows += [(name, f"{value} {over}") for name, value in figures(measured)]
        rows.append(("reproduced", f"{said} ({measured.lost:.1f} % of the owners' list is lost)"))
    return tuple(rows)


def _licence(item: Entry) -> Rows:
    licence = item.license
    rows = [("code", licence.code), ("weights", licence.weights or "not stated by their owners")]
    return tuple([*rows, ("note", licence.note)] if licence.note else rows)
