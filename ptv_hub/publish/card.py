"""The card of a model on the Hugging Face Hub: what it is, where it came from, what was proven.

Every figure comes from the entry, the weights file or a verify report. Published results are
marked as published; nothing is claimed that was not checked. The metadata on top follow the
Hub's model card specification.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from ptv_hub.errors import ManifestError, UsageError
from ptv_hub.evaluation.result import EvalResult, Metrics
from ptv_hub.publish.chart import METRICS
from ptv_hub.verification.records import VerifyReport
from ptv_hub.zoo.entry import Entry, Paper, Protocol, Published
from ptv_hub.zoo.repository import CHART_FILE, LICENSE_FILE, HubConfig


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
    sections = [
        _head(item, report),
        _loading(item, repo_id),
        _measured(measured),
        _results(item, config, chart, measured),
        _proven(report, config),
        _input(item),
        _labels(item),
        _provenance(config),
        _limits(item, measured),
        _licence(item),
        _citation(item),
    ]
    body = "\n\n".join(section for section in sections if section)
    return f"---\n{_metadata(item, config, measured).to_yaml()}\n---\n\n{body}\n"


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


def require_valid(text: str) -> None:
    """Hold a card against huggingface_hub's own reading of one; the network is not used.

    Raises:
        ManifestError: metadata that the Hub would not take.
    """
    import yaml
    from huggingface_hub import ModelCard
    from huggingface_hub.utils._validators import validate_repo_id

    try:
        data: Any = ModelCard(text, ignore_metadata_errors=False).data
        for name in data.datasets or []:
            validate_repo_id(name)
        for tag in data.tags or []:
            if not re.fullmatch(r"[\w.:/+() -]{1,100}", tag):
                raise ValueError(f"tag {tag!r}")
    except (ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        raise ManifestError(
            "the Hub would not take the card's metadata",
            found=error,
            fix="look at the entry's names, labels and licence in the manifest",
        ) from error


# ---------------------------------------------------------------------------- metadata


def _metadata(item: Entry, config: HubConfig, measured: EvalResult | None) -> Any:
    from huggingface_hub import ModelCardData

    stated = item.license.weights
    licence: dict[str, Any] = {"license": stated.lower()} if stated else {}
    if not stated:
        licence = {
            "license": "other",
            "license_name": "weights-not-stated",
            "license_link": LICENSE_FILE,
        }
    return ModelCardData(
        library_name="ptv_hub",
        pipeline_tag="video-classification",
        tags=[
            *("video-classification", "action-recognition", "pytorch", "pytorchvideo"),
            *("pyslowfast", item.builder.name),
        ],
        datasets=[item.dataset],
        metrics=["accuracy" if item.protocol.metric == "top1" else "mean_average_precision"],
        model_name=item.name,
        eval_results=[*_published(item, config), *_measured_results(item, measured)] or None,
        **licence,
    )


def _published(item: Entry, config: HubConfig) -> list[Any]:
    if item.published is None:
        return []
    marked = "published" if _is_the_zoos(config) else "published for the zoo's own file"
    source = {"source_name": f"{item.source}, as published", "source_url": item.published.url}
    return _eval_results(item.published, marked, item.dataset, item.protocol, **source)


def _measured_results(item: Entry, measured: EvalResult | None) -> list[Any]:
    if measured is None:
        return []
    counts = measured.counts
    marked = f"measured on {counts.scored} of {counts.listed} videos"
    # A data set of its own: the Hub would take both for one measurement otherwise.
    split = {"dataset_config": "measured with ptv_hub"}
    return _eval_results(measured.metrics, marked, item.dataset, measured.protocol, **split)


def _eval_results(
    values: Published | Metrics, marked: str, dataset: str, protocol: Protocol, **facts: str
) -> list[Any]:
    """Results for the metadata, each with the protocol it was measured by."""
    from huggingface_hub import EvalResult

    return [
        EvalResult(
            task_type="video-classification",
            task_name="Video Classification",
            dataset_type=dataset,
            dataset_name=dataset,
            metric_type="mean_average_precision" if told == "mAP" else "accuracy",
            metric_name=f"{told} ({marked})",
            metric_value=getattr(values, field),
            metric_args={
                "num_clips": protocol.num_clips,
                "num_crops": protocol.num_crops,
                "activation": protocol.activation,
                "ensemble": protocol.ensemble,
            },
            **facts,  # type: ignore[arg-type]
        )
        for field, told in METRICS.items()
        if getattr(values, field) is not None
    ]


def _is_the_zoos(config: HubConfig) -> bool:
    """Whether the weights were fetched from the zoo, or a published hash says they are its."""
    urls = [f"{a['base_url']}/{a['path']}" for a in config.entry["artifacts"]]
    return config.provenance.source in urls or config.provenance.vouched_by is not None


# ---------------------------------------------------------------------------- the text


def _head(item: Entry, report: VerifyReport) -> str:
    lines = [f"# {item.name}"]
    trained = f"trained for {item.dataset} ({item.num_classes} classes)"
    if item.pretrain:
        trained += f", pretrained on {item.pretrain}"
    lines.append(
        f"{item.arch} {item.depth} {item.frames} of the PyTorchVideo / PySlowFast model zoo,"
        f" {trained}. In the zoo it is `{item.config}`."
    )
    if report.caution:
        lines.append(f"> **Beware: {report.caution}.** No figure below was measured with them.")
    return "\n\n".join(lines)


def _loading(item: Entry, repo_id: str) -> str:
    spec = item.input
    shape = f"{spec.num_frames}, {spec.crop_size}, {spec.crop_size}"
    return f"""## Use

```bash
pip install ptv_hub
```

```python
import torch
import ptv_hub

model = ptv_hub.load("hf-hub:{repo_id}")  # eval mode, logits
clip = torch.zeros(1, 3, {shape})  # what ptv_hub.transform(model) makes of frames
with torch.inference_mode():
    logits = model(clip)  # (1, {item.num_classes})
```

A video as it was evaluated, with all views of the protocol:

```bash
ptv-hub predict hf-hub:{repo_id} video.mp4
```

Append `@` and a commit to the address to pin it."""


def _measured(measured: EvalResult | None) -> str:
    if measured is None:
        return ""
    counts, protocol = measured.counts, measured.protocol
    rows = [
        (f"{told} %", f"{getattr(measured.metrics, field):.2f}")
        for field, told in METRICS.items()
        if getattr(measured.metrics, field) is not None
    ]
    rows += [
        ("videos", f"{counts.scored} scored of {counts.listed} listed, {counts.failed} failed"),
        ("views", f"{protocol.num_clips} clips x {protocol.num_crops} crops, {protocol.ensemble}"),
        ("computed in", measured.dtype),
        ("digest of the list of videos", f"`{measured.videos_digest}`"),
    ]
    told = ["## Results, as measured with these weights", _table(("", "measured"), rows)]
    if measured.differs:
        told.append("By another protocol than the published one:")
    told.append("\n".join(f"- {line}" for line in (*measured.differs, *measured.cautions)))
    return "\n\n".join(part for part in told if part)


def _results(item: Entry, config: HubConfig, chart: bool, measured: EvalResult | None) -> str:
    published, protocol = item.published, item.protocol
    if published is None:
        return ""
    rows = [
        (f"{told} %", f"{getattr(published, field):.2f}")
        for field, told in METRICS.items()
        if getattr(published, field) is not None
    ]
    rows.append(("GFLOPs of one view", f"{published.gflops:.2f}"))
    rows.append(("parameters, millions", f"{published.params_millions:.2f}"))
    told = [
        "## Results, as published",
        _table(("", "published"), rows),
        f"Protocol: {protocol.num_clips} clips x {protocol.num_crops} crops,"
        f" {protocol.activation} at each position of the head, then the mean over positions,"
        f" {protocol.ensemble} over views. Source: {item.source}."
        + ("" if measured else " These figures were not measured anew for this card."),
    ]
    if not _is_the_zoos(config):
        told.append(
            "They are those of the zoo's own file. **That this file is the same was not proven**:"
            " nobody vouches for its hash."
        )
    if item.errata:
        told.append("Errata of the published table:")
        told.append(
            "\n".join(
                f"- `{e.field}`: printed {e.printed}, found {e.found} ({e.reason})"
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
            _table(("level", "check", "verdict"), rows),
            "Digest of the tensors, the same in every layout and format:",
            f"`{config.weights.digest}`",
        ]
    )


def _input(item: Entry) -> str:
    spec = item.input
    rows = [
        ("frames", f"{spec.num_frames} of {spec.crop_size} x {spec.crop_size} pixels"),
        ("sampling", _sampling(item)),
        (
            "values",
            f"/ 255, minus {spec.mean[0]}, over {spec.std[0]}, {spec.channel_order.upper()}",
        ),
        ("size", f"short side {spec.short_side}, bilinear without antialiasing, then square crops"),
    ]
    if spec.slowfast_alpha:
        slow = spec.num_frames // spec.slowfast_alpha
        rows.append(("slow pathway", f"{slow} of these frames; taken inside the model"))
    return f"## Preprocessing\n\n{_table(('', ''), rows)}"


def _sampling(item: Entry) -> str:
    spec = item.input
    if spec.clip_seconds is None:
        return f"the middle frame of each of {spec.num_frames} equal segments of the video"
    return (
        f"{spec.clip_seconds:.2f} s of the video a clip ({spec.num_frames} frames,"
        f" every {spec.sampling_rate} at {spec.target_fps} a second)"
    )


def _labels(item: Entry) -> str:
    if not item.labels:
        return f"## Labels\n\n{item.num_classes} classes; the manifest names none of them."
    shown = ", ".join(f"{i} *{_plain(label)}*" for i, label in enumerate(item.labels[:5]))
    return (
        f"## Labels\n\n{item.num_classes} classes, in index order as `id2label` of"
        f" `config.json` and as `model.entry.labels`: {shown}, ..."
    )


def _plain(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", text)


def _provenance(config: HubConfig) -> str:
    origin = config.provenance
    rows = [
        ("weights from", origin.source),
        ("sha256 of that file", f"`{origin.sha256}`"),
        ("who vouches for it", origin.vouched_by or "nobody"),
        ("taken for this model by", origin.evidence),
        ("converted by", origin.converted_by),
        ("this file", f"{config.weights.size:,} bytes, sha256 `{config.weights.sha256}`"),
        ("layout", f"{config.weights.layout} keys; weights and buffers only, every bit as it was"),
    ]
    return f"## Provenance\n\n{_table(('', ''), rows)}"


def _limits(item: Entry, measured: EvalResult | None) -> str:
    views = item.protocol.num_views
    limits = [
        f"It knows the {item.num_classes} classes of {item.dataset} and no others; every video"
        " gets scores for them, whatever it shows.",
        f"The published accuracy is the one of {views} views a video. Fewer views, another frame"
        " sampling or another normalisation give another, mostly a lower one.",
        "It was trained on videos of people from public sources; what these show too rarely, or"
        " in one light only, it will judge badly. Nothing was examined here in that respect.",
    ]
    if measured is None:
        limits.append("The accuracy itself was not measured anew.")
    return "## Limits\n\n" + "\n".join(f"- {limit}" for limit in limits)


def _licence(item: Entry) -> str:
    return f"## Licence\n\n{license_text(item)}"


def license_text(item: Entry) -> str:
    """What the owners state of licences, and what they do not, in a few sentences."""
    licence = item.license
    weights = licence.weights or "not stated by their owners"
    return "\n\n".join(
        part for part in (f"Code: {licence.code}. Weights: {weights}.", licence.note) if part
    )


def _citation(item: Entry) -> str:
    if item.paper is None:
        return ""
    return f"## Citation\n\n```bibtex\n{bibtex(item.paper)}\n```"


def bibtex(paper: Paper) -> str:
    """A BibTeX entry, keyed by the first author's surname and the year."""
    authors = [author.strip() for author in paper.authors.split(",")]
    surname = unicodedata.normalize("NFKD", authors[0].split()[-1]).encode("ascii", "ignore")
    key = f"{surname.decode().lower()}{paper.year}"
    fields = {
        "title": f"{{{_tex(paper.title)}}}",  # inner braces keep its capitals
        "author": _tex(" and ".join(authors)),
        "year": str(paper.year),
        "url": paper.url,
    }
    lines = [f"  {name:<6} = {{{value}}}," for name, value in fields.items()]
    return "\n".join([f"@misc{{{key},", *lines, "}"])


def _tex(text: str) -> str:
    return re.sub(r"([&%$#_])", r"\\\1", text)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
