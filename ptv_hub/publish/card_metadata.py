"""The metadata on top of a card, as the Hub's model card specification has them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ptv_hub.errors import ManifestError
from ptv_hub.evaluation.result import EvalResult, Metrics
from ptv_hub.zoo.entry import Entry, Published
from ptv_hub.zoo.facts import METRICS
from ptv_hub.zoo.input_spec import Protocol
from ptv_hub.zoo.repository import LICENSE_FILE, HubConfig

if TYPE_CHECKING:
    from huggingface_hub import EvalResult as HubResult
    from huggingface_hub import ModelCardData


def metadata(item: Entry, config: HubConfig, measured: EvalResult | None) -> ModelCardData:
    """The metadata of a card; licence, figures and protocol are the entry's."""
    from huggingface_hub import ModelCardData

    stated = item.license.weights
    results = [*_published_results(item, config, measured), *_measured_results(item, measured)]
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
        eval_results=results or None,
        license=stated.lower() if stated else "other",
        license_name=None if stated else "weights-not-stated",
        license_link=None if stated else LICENSE_FILE,
    )


def _published_results(
    item: Entry, config: HubConfig, measured: EvalResult | None
) -> list[HubResult]:
    known = item.digest == config.weights.digest or is_the_zoos(config)
    if item.published is None or not (known or measured):
        return []  # leaderboards take them for this file's own, whatever they are marked
    marked = "published" if known else "published for the zoo's own file"
    return _results(
        item.published,
        marked,
        item.dataset,
        item.protocol,
        source_name=f"{item.source}, as published",
        source_url=item.published.url,
    )


def _measured_results(item: Entry, measured: EvalResult | None) -> list[HubResult]:
    if measured is None:
        return []
    counts = measured.counts
    marked = f"measured on {counts.scored} of {counts.listed} videos"
    return _results(
        measured.metrics,
        marked,
        item.dataset,
        measured.protocol,
        # A data set of its own: the Hub would take both for one measurement otherwise.
        dataset_config="measured with ptv_hub",
    )


def _results(
    values: Published | Metrics,
    marked: str,
    dataset: str,
    protocol: Protocol,
    *,
    source_name: str | None = None,
    source_url: str | None = None,
    dataset_config: str | None = None,
) -> list[HubResult]:
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
            source_name=source_name,
            source_url=source_url,
            dataset_config=dataset_config,
        )
        for field, told in METRICS.items()
        if getattr(values, field) is not None
    ]


def is_the_zoos(config: HubConfig) -> bool:
    """Whether the weights were fetched from the zoo, or a published hash says they are its."""
    urls = [f"{a['base_url']}/{a['path']}" for a in config.entry["artifacts"]]
    return config.provenance.source in urls or config.provenance.vouched_by is not None


def require_valid(text: str) -> None:
    """Hold a card against huggingface_hub's own reading of one; the network is not used.

    Raises:
        ManifestError: metadata that the Hub would not take.
    """
    import yaml
    from huggingface_hub import ModelCard, ModelCardData
    from huggingface_hub.utils._validators import validate_repo_id

    try:
        data = ModelCard(text, ignore_metadata_errors=False).data
        assert isinstance(data, ModelCardData)
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
