"""Every series that a page of ours can have, with its labels."""

from __future__ import annotations

from celeriac.exposition.families import FAMILIES
from celeriac.sidecar.metrics import SidecarMetrics

SIDECAR_LABELS = frozenset({"reason", "route", "code", "kind", "outcome"})


def exported() -> dict[str, frozenset[str]]:
    """Return the labels of every series, by its name."""
    series = {"up": frozenset[str]()}
    for family in FAMILIES:
        series[family.name] = frozenset(family.labels)
        if family.kind == "histogram":
            series |= {
                f"{family.name}_{part}": frozenset(family.labels) for part in ("sum", "count")
            }
            series[f"{family.name}_bucket"] = frozenset({*family.labels, "le"})
    for metric in SidecarMetrics().registry.collect():
        suffix = "_total" if metric.type == "counter" else ""
        series[metric.name + suffix] = SIDECAR_LABELS
    return series


EXPORTED = exported()
