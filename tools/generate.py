#!/usr/bin/env python3
"""Rewrite what is generated from its one home; with --check only say what is not current.

python tools/generate.py [--check]
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ptv_hub.attestation.records import Attestation
from ptv_hub.attestation.standing import with_standing
from ptv_hub.markdown import code, table
from ptv_hub.verification.records import VerifyReport
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.facts import METRICS
from ptv_hub.zoo.manifest import entries, known
from ptv_hub.zoo.manifest_file import ManifestFile
from tools import reference


def schema(_: str) -> str:
    """The JSON Schema of a manifest, from the records that parse it."""
    return json.dumps(ManifestFile.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


def verify_schema(_: str) -> str:
    """The JSON Schema of what ``ptv-hub verify --json`` writes for one model."""
    schema = VerifyReport.model_json_schema(mode="serialization")
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def readme(text: str) -> str:
    """The README with the zoo's table between its markers."""
    table = "\n\n".join(_table(dataset) for dataset in ("kinetics400", "ssv2", "charades"))
    begin, end = "<!-- zoo table: generated -->", "<!-- end of zoo table -->"
    pattern = re.compile(f"{re.escape(begin)}.*{re.escape(end)}", re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"README.md has no '{begin}' ... '{end}'")
    text = pattern.sub(lambda _: f"{begin}\n{table}\n{end}", text)
    return with_standing(text, entries())


def attestation_schema(_: str) -> str:
    """The JSON Schema of what ``ptv-hub attest`` writes."""
    schema = Attestation.model_json_schema()
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _table(dataset: str) -> str:
    rows = [item for item in entries() if item.dataset == dataset]
    mean_precision = rows[0].protocol.metric == "mean_average_precision"
    metrics = ["mean_average_precision"] if mean_precision else ["top1", "top5"]
    head = [
        "name",
        "arch",
        "depth",
        "pretrain",
        "frames",
        *(METRICS[metric] for metric in metrics),
        "GFLOPs x views",
        "params (M)",
    ]
    shown = table(head, [_cells(item, metrics) for item in rows], right=head[5:])
    return f"**{TITLES[dataset]}**\n\n{shown}"


TITLES = {"kinetics400": "Kinetics-400", "ssv2": "Something-Something V2", "charades": "Charades"}


def _cells(item: Entry, metrics: list[str]) -> list[str]:
    published, protocol = item.published, item.protocol
    assert published is not None
    starred = {erratum.field for erratum in item.errata}

    def figure(field: str) -> str:
        return f"{getattr(published, field):.2f}" + ("*" if f"published.{field}" in starred else "")

    return [
        code(item.name),
        item.arch,
        item.depth,
        item.pretrain or "-",
        item.frames,
        *(figure(metric) for metric in metrics),
        f"{figure('gflops')} x {protocol.num_crops} x {protocol.num_clips}",
        figure("params_millions"),
    ]


def model_names(_: str) -> str:
    """Every name that ``load`` takes, for completion in editors."""
    rows = "".join(f'    "{item.name}",\n' for item in known())
    return f'''"""Every model that has a name here, for completion in editors ('make generate')."""

from __future__ import annotations

from typing import Literal

ModelName = Literal[
{rows}]
"""Of the zoo's core, the other collections, and the demonstration."""
'''


def reference_page(_: str) -> str:
    """The pages' list of public names, which mkdocstrings fills."""
    return reference.text()


GENERATED: dict[str, Callable[[str], str]] = {
    "manifests/schema.json": schema,
    "docs/verify.schema.json": verify_schema,
    "docs/reference.md": reference_page,
    "ptv_hub/zoo/model_names.py": model_names,
    "docs/attestation.schema.json": attestation_schema,
    "README.md": readme,
}
"""Path below the root -> what its text must be, given what it is."""


def main() -> None:
    check = "--check" in sys.argv[1:]
    stale = []
    for name, make in GENERATED.items():
        path = ROOT / name
        now = path.read_text(encoding="utf-8") if path.exists() else ""
        wanted = make(now)
        if now != wanted:
            stale.append(name)
            if not check:
                path.write_text(wanted, encoding="utf-8")
    if check and stale:
        raise SystemExit(f"not current: {', '.join(stale)}; run 'make generate'")
    print("rewritten: " + ", ".join(stale) if stale else "all current")


if __name__ == "__main__":
    main()
