"""The card of a model on the Hugging Face Hub: what it is, where it came from, what was proven.

Every figure comes from the entry, the weights file or a verify report. Published results are
marked as published; nothing is claimed that was not checked, or that is not known of this very
entry.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from ptv_hub import markdown as md
from ptv_hub.errors import UsageError
from ptv_hub.evaluation.result import EvalResult
from ptv_hub.publish.card_metadata import is_the_zoos, metadata
from ptv_hub.text import python_literal, shell_word, visible
from ptv_hub.verification.records import VerifyReport
from ptv_hub.zoo.entry import Entry, Paper
from ptv_hub.zoo.facts import Facts, facts, figures
from ptv_hub.zoo.repository import CHART_FILE, HubConfig


def card(
    item: Entry,
    config: HubConfig,
    report: VerifyReport,
    *,
    repo_id: str,
    chart: bool = True,
    measured: EvalResult | None = None,
) -> str:
    """The card, Markdown under a block of YAML metadata.

    ``report`` is what ``verify`` found on the very file of ``config``, ``measured`` an
    evaluation of the same weights; ``chart`` says whether ``CHART_FILE`` lies beside the card.

    Raises:
        UsageError: the evaluation is of other weights, or of another model.
    """
    if measured is not None:
        _of_these_weights(item, config, measured)
    told = facts(item)
    sections = [
        _head(item, told, report),
        _loading(item, repo_id),
        _measured(item, measured),
        _results(item, told, config, chart, measured),
        _proven(report, config),
        f"## Preprocessing\n\n{md.table(('', ''), told.input)}",
        _labels(item),
        _provenance(item, told, config),
        _limits(item, measured),
        _licence(item),
        _citation(item),
    ]
    body = "\n\n".join(section for section in sections if section)
    return f"---\n{metadata(item, config, measured).to_yaml()}\n---\n\n{body}\n"


def _of_these_weights(item: Entry, config: HubConfig, measured: EvalResult) -> None:
    expected = (item.name, config.weights.digest)
    found = (measured.model, measured.weights_digest)
    if expected != found:
        raise UsageError(
            "the evaluation is not of these weights",
            expected=f"{expected[0]}, digest {expected[1]}",
            found=f"{found[0]}, digest {found[1] or 'not recorded'}",
            fix="evaluate the file that is pushed: 'ptv-hub eval NAME --weights FILE'",
        )


# ---------------------------------------------------------------------------- the text


def _head(item: Entry, told: Facts, report: VerifyReport) -> str:
    # A config's entry names the file it was read from: where that lies is its owner's business.
    source = Path(item.source).name if Path(item.source).is_absolute() else item.source
    lines = [
        f"# {md.text(item.name)}",
        f"{md.text(told.summary)}. Source: {md.text(source)}; config: {md.code(item.config)}.",
    ]
    if report.caution:
        lines.append(
            f"> **Beware: {md.text(report.caution)}.** No figure below was measured with them."
        )
    return "\n\n".join(lines)


def _loading(item: Entry, repo_id: str) -> str:
    spec, address = item.input, f"hf-hub:{repo_id}"
    shape = f"{spec.num_frames}, {spec.crop_size}, {spec.crop_size}"
    python = f"""import torch
import ptv_hub

model = ptv_hub.load({python_literal(address)})  # eval mode, logits
clip = torch.zeros(1, 3, {shape})  # what ptv_hub.transform(model) makes of frames
with torch.inference_mode():
    logits = model(clip)  # (1, {item.num_classes})"""
    return "\n\n".join(
        [
            "## Use",
            md.block("pip install ptv_hub", "bash"),
            md.block(python, "python"),
            "A video as it was evaluated, with all views of the protocol:",
            md.block(f"ptv-hub predict {shell_word(address)} video.mp4", "bash"),
            "Append `@` and a commit to the address to pin it.",
        ]
    )


def _measured(item: Entry, measured: EvalResult | None) -> str:
    if measured is None:
        return ""
    counts, protocol = measured.counts, measured.protocol
    rows = [
        *figures(measured.metrics),
        ("videos", f"{counts.scored} scored of {counts.listed} listed, {counts.failed} failed"),
        ("views", f"{protocol.num_clips} clips x {protocol.num_crops} crops, {protocol.ensemble}"),
        ("computed in", measured.dtype),
        ("digest of the list of videos", md.code(measured.videos_digest)),
    ]
    told = ["## Results, as measured with these weights", md.table(("", "measured"), rows)]
    if measured.differs and item.published is not None:
        told.append("By another protocol than the published one:")
    cautions = (*measured.differs, *measured.cautions)
    told.append("\n".join(f"- {md.text(line)}" for line in cautions))
    return "\n\n".join(part for part in told if part)


def _results(
    item: Entry, known: Facts, config: HubConfig, chart: bool, measured: EvalResult | None
) -> str:
    if not known.published:
        return ""
    told = [
        "## Results, as published",
        md.table(("", "published"), known.published),
        f"Protocol: {md.text(', '.join(row for _, row in known.protocol))}."
        f" Source: {md.text(item.source)}."
        + ("" if measured else " These figures were not measured anew for this card."),
    ]
    if not is_the_zoos(config):
        told.append(
            "They are those of the zoo's own file. **That this file is the same was not proven**:"
            " nobody vouches for its hash."
        )
    if item.errata:
        told.append("Errata of the published table:")
        told.append(
            "\n".join(
                f"- {md.code(e.field)}: "
                + md.text(f"printed {e.printed}, found {e.found} ({e.reason})")
                for e in item.errata
            )
        )
    if chart:
        told.append(f"![Accuracy against FLOPs of the zoo's models, as published]({CHART_FILE})")
    return "\n\n".join(told)


def _proven(report: VerifyReport, config: HubConfig) -> str:
    rows = [
        (check.level, check.name, check.verdict)
        for check in report.checks
        if check.verdict not in ("noted", "as recorded here")
    ]
    return "\n\n".join(
        [
            "## What was verified",
            "By `ptv-hub verify`, on the file that was converted to this one:",
            md.table(("level", "check", "verdict"), rows),
            "Digest of the tensors, the same in every layout and format:",
            md.code(config.weights.digest),
        ]
    )


def _labels(item: Entry) -> str:
    if not item.labels:
        return f"## Labels\n\n{item.num_classes} classes; the manifest names none of them."
    more = ", ..." if len(item.labels) > 5 else ""
    shown = ", ".join(f"{i} *{md.text(label)}*" for i, label in enumerate(item.labels[:5]))
    return (
        f"## Labels\n\n{item.num_classes} classes, in index order as `id2label` of"
        f" `config.json` and as `model.entry.labels`: {shown}{more}"
    )


def _provenance(item: Entry, told: Facts, config: HubConfig) -> str:
    origin = config.provenance
    # Who saw the zoo's file saw these tensors, if they are the same.
    seen = told.attested if item.digest == config.weights.digest else ()
    rows = [
        ("weights from", origin.source),
        ("sha256 of that file", md.code(origin.sha256)),
        ("who vouches for it", origin.vouched_by or "nobody"),
        ("taken for this model by", origin.evidence),
        *((f"attested {name}", what) for name, what in seen),
        ("converted by", origin.converted_by),
        ("this file", f"{config.weights.size:,} bytes, sha256 {config.weights.sha256}"),
        ("layout", f"{config.weights.layout} keys; weights and buffers only, every bit as it was"),
    ]
    return f"## Provenance\n\n{md.table(('', ''), rows)}"


def _limits(item: Entry, measured: EvalResult | None) -> str:
    dataset = md.text(item.dataset)
    limits = [
        f"It knows the {item.num_classes} classes of {dataset} and no others; every video"
        " gets scores for them, whatever it shows.",
        f"What the videos of {dataset} show too rarely, or in one light only, it will judge"
        " badly. Nothing was examined here in that respect.",
    ]
    known = {} if item.published is None else {"published": item.protocol.num_views}
    if measured is not None and not known:
        known = {"measured": measured.protocol.num_views}
    for which, views in known.items():
        limits.append(
            f"The {which} accuracy is the one of {views} views a video. Fewer views, another frame"
            " sampling or another normalisation give another, mostly a lower one."
        )
    if measured is None:
        limits.append(
            "The accuracy itself was not measured anew."
            if known
            else "Nobody has stated how accurate it is, and it was not measured for this card."
        )
    return "## Limits\n\n" + "\n".join(f"- {limit}" for limit in limits)


def _licence(item: Entry) -> str:
    return f"## Licence\n\n{license_markdown(item)}"


def license_markdown(item: Entry) -> str:
    """``license_text`` as Markdown."""
    return "\n\n".join(map(md.text, license_text(item).split("\n\n")))


def license_text(item: Entry) -> str:
    """What the owners state of licences, and what they do not, in a few sentences."""
    told = dict(facts(item).licence)
    note = told.pop("note", "")
    stated = " ".join(f"{what.capitalize()}: {licence}." for what, licence in told.items())
    stated = " ".join(stated.split())  # the note alone has paragraphs
    caution = " ".join((item.license.caution or "").split())
    caution = caution and f"Before you use them: {caution}."
    return "\n\n".join(part for part in (stated, note, caution) if part)


def _citation(item: Entry) -> str:
    if item.paper is None:
        return ""
    return f"## Citation\n\n{md.block(bibtex(item.paper), 'bibtex')}"


def bibtex(paper: Paper) -> str:
    """A BibTeX entry, keyed by the first author's surname and the year."""
    authors = [author.strip() for author in paper.authors.split(",")]
    surname = unicodedata.normalize("NFKD", (authors[0].split() or ["anonymous"])[-1])
    key = f"{re.sub('[^a-z]', '', surname.lower())}{paper.year}"
    fields = {
        "title": f"{{{_tex(paper.title)}}}",  # inner braces keep its capitals
        "author": _tex(" and ".join(authors)),
        "year": str(paper.year),
        "url": re.sub(r"[{}\\\s]", "", paper.url),
    }
    lines = [f"  {name:<6} = {{{value}}}," for name, value in fields.items()]
    return "\n".join([f"@misc{{{key},", *lines, "}"])


def _tex(text: str) -> str:
    """Text as TeX shows it; a brace or a backslash would end the field, or begin a command."""
    return re.sub(r"([&%$#_])", r"\\\1", re.sub(r"[{}\\]", "", visible(text)))
