"""The dashboard asks for the metrics that there are, and all of them."""

from __future__ import annotations

import json
import re
from typing import Any

from prometheus_client import CollectorRegistry
from support.servers import ROOT

from flask_otp_auth.metrics import _metrics

DASHBOARD = ROOT / "examples" / "monitoring" / "grafana_dashboard.json"


def queries(dashboard: Any) -> list[str]:
    """Return what the panels ask for."""
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def test_the_dashboard_shows_every_metric_and_no_other() -> None:
    registry = CollectorRegistry()
    _metrics(registry)
    known = {
        metric.name + {"counter": "_total", "histogram": "_bucket"}[metric.type]
        for metric in registry.collect()
    }

    dashboard = json.loads(DASHBOARD.read_text())

    asked = {name for query in queries(dashboard) for name in re.findall(r"otp_auth_\w+", query)}
    assert asked == known


def test_the_dashboard_asks_for_labels_that_there_are() -> None:
    registry = CollectorRegistry()
    metrics = _metrics(registry)
    labels = {"method", "outcome", "reason", "le"}
    assert set(metrics.verdicts._labelnames) == {"method", "outcome"}

    for query in queries(json.loads(DASHBOARD.read_text())):
        for group in re.findall(r"by \(([^)]*)\)", query):
            assert set(group.split(", ")) <= labels, query


def test_the_panels_lie_beside_each_other() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]

    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(set(places)) == len(panels)
    assert len({panel["id"] for panel in panels}) == len(panels)
