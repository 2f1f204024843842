"""The page of one model: code to copy, what was published, what was counted anew."""

from __future__ import annotations

from collections.abc import Sequence

from ptv_hub.pages.page import render
from ptv_hub.publish.card import bibtex, license_text
from ptv_hub.text import python_literal, shell_word
from ptv_hub.verification.records import VERDICTS, Check
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.facts import facts


def model_page(item: Entry, checks: Sequence[Check]) -> str:
    """The page of a model, of which ``check_spec`` found the checks."""
    used = dict.fromkeys(check.verdict for check in checks)
    name = shell_word(item.name)
    return render(
        "site_model.html",
        title=item.name,
        item=item,
        known=facts(item),
        codes=(
            _python(item),
            f"ptv-hub predict {name} video.mp4",
            f"ptv-hub fetch {name}\nptv-hub verify {name}",
        ),
        verdict=verdict(checks),
        checks=[(c.name, c.expected or "", _found(c), c.verdict) for c in checks],
        meanings="; ".join(f"{verdict}: {VERDICTS[verdict]}" for verdict in used),
        licence=license_text(item).split("\n\n"),
        bibtex="" if item.paper is None else bibtex(item.paper),
    )


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


def _found(check: Check) -> str:
    # A long address twice in a row is not easier to compare.
    return "the same" if check.expected and check.found == check.expected else check.found or ""


def verdict(checks: Sequence[Check]) -> str:
    """What came of counting, in a few words."""
    failed = [check.name for check in checks if check.verdict == "fails"]
    if failed:
        return f"does not hold: {', '.join(failed)}"
    errata = [check.name for check in checks if check.verdict == "erratum"]
    if errata:
        return f"erratum: {' and '.join(errata)}"
    return "holds" if any(check.verdict == "holds" for check in checks) else "nothing stated"
