"""Level ``spec``: what the table prints, recomputed from the architecture alone."""

from __future__ import annotations

from ptv_hub.verification.cost import Cost, count
from ptv_hub.verification.records import Check
from ptv_hub.zoo.entry import Entry, Published
from ptv_hub.zoo.repository import own_file, stated_by


def check_spec(entry: Entry) -> list[Check]:
    """Parameters and FLOPs against the entry, to the digits the table prints, and its link."""
    cost = count(entry)
    checks = [_parameters(entry, cost)]
    published = entry.published
    each = published.per_norm_element if published else 5
    checks.append(
        _printed(
            entry,
            name="parameters, M",
            field="published.params_millions",
            printed=published.printed[1] if published else None,
            found=f"{cost.params / 1e6:.{published.decimals[1] if published else 2}f}",
            note="as printed in the table, millions",
        )
    )
    checks.append(
        _printed(
            entry,
            name="GFLOPs",
            field="published.gflops",
            printed=published.printed[0] if published else None,
            found=f"{_counted(published, cost):.{published.decimals[0] if published else 2}f}",
            note=f"of one view, as the table counts: {each} for each element into a {_norms(cost)}",
        )
    )
    checks.append(
        Check(
            level="spec",
            name="GFLOPs, eval mode",
            verdict="noted",
            found=f"{cost.gflops_eval:.2f}",
            note="as fvcore counts a model in eval mode: 2 for each; the table does not",
        )
    )
    if published is not None:
        checks.append(_link(entry, published.url))
    return [*checks, *_other_errata(entry)]


def _norms(cost: Cost) -> str:
    return "layer norm" if cost.layer_norm_elements else "batch norm"


def _counted(published: Published | None, cost: Cost) -> float:
    """GFLOPs as the entry's table counts them."""
    in_eval = published is not None and published.per_norm_element == 2
    return cost.gflops_eval if in_eval else cost.gflops_published


def _parameters(entry: Entry, cost: Cost) -> Check:
    stated = entry.num_params
    verdict = "unknown" if stated is None else "holds" if stated == cost.params else "fails"
    return Check(
        level="spec",
        name="parameters",
        verdict=verdict,
        expected=None if stated is None else f"{stated:,}",
        found=f"{cost.params:,}",
        note=None if stated is None or own_file(entry) is None else stated_by(entry),
    )


def _printed(
    entry: Entry, *, name: str, field: str, printed: str | None, found: str, note: str
) -> Check:
    """A figure of the table, against what was counted, rounded to the decimals that it prints."""
    if printed is None:
        return Check(level="spec", name=name, verdict="unknown", found=found, note=note)
    verdict, reason = _judged(entry, field, printed, found)
    return Check(
        level="spec",
        name=name,
        verdict=verdict,
        expected=printed,
        found=found,
        note=f"{note}; {reason}" if reason else note,
    )


def _judged(entry: Entry, field: str, stated: str, found: str) -> tuple[str, str | None]:
    """The verdict on a printed figure, and the erratum's reason where there is one.

    An erratum explains its own two numbers and no others; one for a figure that holds is wrong.
    """
    erratum = next((item for item in entry.errata if item.field == field), None)
    if erratum is None:
        return ("holds", None) if stated == found else ("fails", None)
    if (erratum.printed, erratum.found) == (stated, found) and stated != found:
        return "erratum", erratum.reason
    return "fails", f"the manifest's erratum says printed {erratum.printed}, found {erratum.found}"


_RECOMPUTED = ("published.params_millions", "published.gflops", "published.url")


def _other_errata(entry: Entry) -> list[Check]:
    """Errata of figures that take more than the architecture to recompute: shown as they are."""
    return [
        Check(
            level="spec",
            name=item.field,
            verdict="noted",
            expected=item.printed,
            found=item.found,
            note=f"the manifest's erratum, not recomputed: {item.reason}",
        )
        for item in entry.errata
        if item.field not in _RECOMPUTED
    ]


def _link(entry: Entry, url: str) -> Check:
    """The table's link is one of the files to fetch, or its erratum names the one that is."""
    urls = [artifact.url for artifact in entry.artifacts]
    used = url if url in urls else next(iter(urls), "no file")
    verdict, reason = _judged(entry, "published.url", url, used)
    return Check(
        level="spec",
        name="link",
        verdict=verdict,
        expected=url,
        found=used,
        note=reason,
    )
