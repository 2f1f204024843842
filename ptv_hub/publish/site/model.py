"""The page of one model: code to copy, what was published, what was counted anew."""

from __future__ import annotations

from collections.abc import Sequence

from ptv_hub.html import Html, element, page, table
from ptv_hub.publish.card import bibtex, license_text
from ptv_hub.publish.site.style import COPY_SCRIPT, STYLE
from ptv_hub.text import python_literal, shell_word
from ptv_hub.verification.records import VERDICTS, Check
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.facts import facts


def model_page(item: Entry, checks: Sequence[Check]) -> str:
    back = element("p", element("a", "all models", href="../index.html"))
    known = facts(item)
    sections = [
        back,
        element("p", f"{known.summary}. In the zoo: {item.zoo_name} ({item.config})."),
        element("h2", "Use"),
        _code(_python(item)),
        _code(f"ptv-hub predict {shell_word(item.name)} video.mp4"),
        _code(f"ptv-hub fetch {shell_word(item.name)}\nptv-hub verify {shell_word(item.name)}"),
        element("h2", "Published"),
        table(["", "as published"], known.published or [("nothing", "")], right=["as published"]),
        element("h2", "Verified for this page"),
        element("p", f"Counted anew: {verdict(checks)}. No weights were looked at.", class_="note"),
        _checks(checks),
        element("h2", "Input and protocol"),
        table(["", ""], [*known.input, *known.protocol]),
        element("h2", "Files"),
        table(["zoo", "file", "sha256", "who vouches for it"], _files(item)),
    ]
    if item.errata:
        sections += [element("h2", "Errata of the table"), _errata(item)]
    if item.labels:
        told = element("summary", f"{len(item.labels)} classes, in index order")
        classes = element("ol", *(element("li", label) for label in item.labels), start=0)
        sections += [element("h2", "Labels"), element("details", told, classes)]
    sections += [
        element("h2", "Licence"),
        *(element("p", text) for text in license_text(item).split("\n\n")),
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
            f"model = ptv_hub.load({python_literal(item.name)})  # eval mode, logits",
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


def _files(item: Entry) -> list[tuple[str, ...]]:
    return [
        (
            artifact.zoo,
            element("a", artifact.path, href=artifact.url, class_="long")
            if artifact.beside is None
            else f"{artifact.path}, with the manifest",
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
