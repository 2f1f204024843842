"""The page of one model: code to copy, what was published, what was counted anew."""

from __future__ import annotations

from collections.abc import Sequence

from ptv_hub.html import Html, element, page, table
from ptv_hub.publish.card import bibtex
from ptv_hub.publish.chart import METRICS
from ptv_hub.publish.site.style import COPY_SCRIPT, STYLE
from ptv_hub.verification.records import VERDICTS, Check
from ptv_hub.zoo.entry import Entry


def model_page(item: Entry, checks: Sequence[Check]) -> str:
    back = element("p", element("a", "all models", href="../index.html"))
    trained = f"{item.arch} {item.depth} {item.frames}, trained for {item.dataset}"
    if item.pretrain:
        trained += f", pretrained on {item.pretrain}"
    sections = [
        back,
        element("p", f"{trained}. In the zoo: {item.zoo_name} ({item.config})."),
        element("h2", "Use"),
        _code(_python(item)),
        _code(f"ptv-hub predict {item.name} video.mp4"),
        _code(f"ptv-hub fetch {item.name}\nptv-hub verify {item.name}"),
        element("h2", "Published"),
        table(["", "as published"], _published(item), right=["as published"]),
        element("h2", "Verified for this page"),
        element("p", f"Counted anew: {verdict(checks)}. No weights were looked at.", class_="note"),
        _checks(checks),
        element("h2", "Input and protocol"),
        table(["", ""], _input(item)),
        element("h2", "Files"),
        table(["zoo", "file", "sha256", "who vouches for it"], _files(item)),
    ]
    if item.errata:
        sections += [element("h2", "Errata of the table"), _errata(item)]
    if item.labels:
        told = element("summary", f"{len(item.labels)} classes, in index order")
        classes = element("ol", *(element("li", label) for label in item.labels), start=0)
        sections += [element("h2", "Labels"), element("details", told, classes)]
    stated = item.license.weights or "not stated by their owners"
    sections += [
        element("h2", "Licence"),
        element("p", f"Code: {item.license.code}. Weights: {stated}. {item.license.note}"),
    ]
    if item.paper is not None:
        sections += [
            element("h2", "Paper"),
            element(
                "p", element("a", item.paper.title, href=item.paper.url), f" ({item.paper.year})"
            ),
            _code(bibtex(item.paper)),
        ]
    return page(item.name, *sections, style=STYLE, script=COPY_SCRIPT)


def _python(item: Entry) -> str:
    spec = item.input
    shape = f"1, 3, {spec.num_frames}, {spec.crop_size}, {spec.crop_size}"
    return "\n".join(
        [
            "import torch",
            "import ptv_hub",
            "",
            f'model = ptv_hub.load("{item.name}")  # eval mode, logits',
            f"clip = torch.zeros({shape})  # what ptv_hub.transform(model) makes of frames",
            "with torch.inference_mode():",
            f"    logits = model(clip)  # (1, {item.num_classes})",
        ]
    )


def _code(text: str) -> Html:
    return element(
        "div",
        element("button", "copy", type="button", class_="copy"),
        element("pre", element("code", text)),
        class_="code",
    )


def _published(item: Entry) -> list[tuple[str, str]]:
    published = item.published
    if published is None:
        return [("nothing", "")]
    rows = [
        (f"{told} %", f"{getattr(published, field):.2f}")
        for field, told in METRICS.items()
        if getattr(published, field) is not None
    ]
    return [
        *rows,
        ("GFLOPs of one view", f"{published.gflops:.2f}"),
        ("parameters, millions", f"{published.params_millions:.2f}"),
    ]


def _checks(checks: Sequence[Check]) -> Html:
    def found(check: Check) -> str:
        # A long address twice in a row is not easier to compare.
        return "the same" if check.expected and check.found == check.expected else check.found or ""

    rows = [
        (
            check.name,
            element("span", check.expected or "", class_="long"),
            found(check),
            check.verdict,
        )
        for check in checks
    ]
    used = dict.fromkeys(check.verdict for check in checks)
    told = "; ".join(f"{verdict}: {VERDICTS[verdict]}" for verdict in used)
    return Html(
        table(["check", "stated", "found", "verdict"], rows)
        + element("p", told + ".", class_="note")
    )


def _input(item: Entry) -> list[tuple[str, str]]:
    spec, protocol = item.input, item.protocol
    sampling = f"the middle frame of each of {spec.num_frames} segments of the video"
    if spec.clip_seconds is not None:
        sampling = (
            f"{spec.clip_seconds:.2f} s a clip, every {spec.sampling_rate} at {spec.target_fps} fps"
        )
    rows = [
        ("frames", f"{spec.num_frames} of {spec.crop_size} x {spec.crop_size} pixels"),
        ("sampling", sampling),
        (
            "values",
            f"/ 255, minus {spec.mean[0]}, over {spec.std[0]}, {spec.channel_order.upper()}",
        ),
        ("short side", f"{spec.short_side} pixels"),
    ]
    if spec.slowfast_alpha:
        rows.append(("slow pathway", f"{spec.num_frames // spec.slowfast_alpha} of the frames"))
    views = f"{protocol.num_clips} clips x {protocol.num_crops} crops"
    rows.append(("views", f"{views}, {protocol.ensemble} over them"))
    rows.append(("scores", f"{protocol.activation} at each position of the head, then the mean"))
    return rows


def _files(item: Entry) -> list[tuple[str, ...]]:
    return [
        (
            artifact.zoo,
            element("a", artifact.path, href=artifact.url, class_="long"),
            element("code", artifact.sha256, class_="long")
            if artifact.sha256
            else "none published",
            artifact.hash_source or "",
        )
        for artifact in item.artifacts
    ]


def _errata(item: Entry) -> Html:
    rows = [(e.field, e.printed, e.found, e.reason) for e in item.errata]
    return table(["field", "printed", "found", "reason"], rows)


def verdict(checks: Sequence[Check]) -> str:
    """What came of counting, in a few words."""
    failed = [check.name for check in checks if check.verdict == "fails"]
    if failed:
        return f"does not hold: {', '.join(failed)}"
    errata = [check.name for check in checks if check.verdict == "erratum"]
    if errata:
        return f"erratum: {' and '.join(errata)}"
    return "holds" if any(check.verdict == "holds" for check in checks) else "nothing stated"
