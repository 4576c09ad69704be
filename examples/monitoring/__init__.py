"""Metrics at ``/metrics`` for Prometheus; ``grafana_dashboard.json`` beside this shows them."""

from __future__ import annotations

import os

from flask import Flask, Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from flask_otp_auth import metrics


def add_metrics(app: Flask) -> None:
    """Register the metrics of *app*, and serve them at ``/metrics``.

    With several worker processes, set ``PROMETHEUS_MULTIPROC_DIR`` to an empty directory before
    the first of them starts, so that each answer includes the counts of all. Make sure that only
    Prometheus can reach ``/metrics``.
    """
    metrics.register(app)

    @app.get("/metrics")
    def show_metrics() -> Response:
        registry = REGISTRY
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
