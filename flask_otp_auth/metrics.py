"""Prometheus metrics of codes, verdicts, refusals and lockouts, counted from the signals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from blinker import NamedSignal
from flask import Flask
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram

from . import signals
from .types import METHODS

_NAME = "otp_auth_metrics"
# The limits on clients apply before the body is read, so the method is not known.
_UNKNOWN = "unknown"
_OUTCOMES = ("accepted", "rejected", "exhausted", "locked", "expired", "used")
_REFUSALS = ("identifier", "lockout", "tries")
_LOCKOUTS = ("waiting", "disabled")
_SECONDS = (5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1800, 3600)

Receiver = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Metrics:
    """The metrics; each of them has the label ``method``.

    :param codes_sent: codes that the sender accepted, including resends.
    :param send_failures: codes that the sender did not accept.
    :param verdicts: checked codes, by ``outcome``.
    :param refusals: requests for a code that a limit or a lock refused, by ``reason``.
    :param lockouts: new locks, by ``reason``.
    :param time_to_verify: seconds from the request for a code to the correct code.
    """

    codes_sent: Counter
    send_failures: Counter
    verdicts: Counter
    refusals: Counter
    lockouts: Counter
    time_to_verify: Histogram


_made: WeakKeyDictionary[CollectorRegistry, Metrics] = WeakKeyDictionary()


def register(app: Flask, registry: CollectorRegistry | None = None) -> Metrics:
    """Count what happens in *app* from now on. Needs the extra ``metrics``.

    Several applications of one process can share a registry.

    :param app: the application; it may be initialised later.
    :param registry: the registry for the metrics, by default that of ``prometheus_client``.
    :returns: the metrics, so that tests can read them.
    :raises RuntimeError: the metrics of *app* have been registered before.
    """
    if _NAME in app.extensions:
        raise RuntimeError("The metrics of this app have been registered before.")
    registry = REGISTRY if registry is None else registry
    metrics = _made.get(registry)
    if metrics is None:
        metrics = _made[registry] = _metrics(registry)
    receivers = _receivers(metrics)
    for signal, receiver in receivers:
        signal.connect(receiver, app)
    # Signals hold only weak references to their receivers.
    app.extensions[_NAME] = receivers
    return metrics


def _metrics(registry: CollectorRegistry) -> Metrics:
    def counter(name: str, text: str, *labels: str) -> Counter:
        return Counter(f"otp_auth_{name}", text, ["method", *labels], registry=registry)

    metrics = Metrics(
        codes_sent=counter("codes_sent", "Codes that the sender accepted."),
        send_failures=counter("send_failures", "Codes that the sender did not accept."),
        verdicts=counter("verdicts", "Codes that were checked.", "outcome"),
        refusals=counter("refusals", "Requests for a code that were refused.", "reason"),
        lockouts=counter("lockouts", "New locks of accounts.", "reason"),
        time_to_verify=Histogram(
            "otp_auth_time_to_verify_seconds",
            "Seconds from the request for a code to the correct code.",
            ["method"],
            buckets=_SECONDS,
            registry=registry,
        ),
    )
    _begin_at_zero(metrics)
    return metrics


def _begin_at_zero(metrics: Metrics) -> None:
    """Create every series now; ``rate()`` misses the event with which a series begins."""
    for method in METHODS:
        metrics.codes_sent.labels(method)
        metrics.send_failures.labels(method)
        metrics.time_to_verify.labels(method)
        for outcome in _OUTCOMES:
            metrics.verdicts.labels(method, outcome)
        for reason in _REFUSALS:
            metrics.refusals.labels(method, reason)
        for reason in _LOCKOUTS:
            metrics.lockouts.labels(method, reason)
    metrics.refusals.labels(_UNKNOWN, "client")


def _receivers(metrics: Metrics) -> list[tuple[NamedSignal, Receiver]]:
    """Return each signal that is counted, with the receiver that counts it in *metrics*."""

    def sent(_: Flask, *, method: str | None, **__: str | None) -> None:
        metrics.codes_sent.labels(method or _UNKNOWN).inc()

    def failed(_: Flask, *, method: str | None, **__: str | None) -> None:
        metrics.send_failures.labels(method or _UNKNOWN).inc()

    def verified(_: Flask, *, method: str | None, seconds: float, **__: str | None) -> None:
        metrics.verdicts.labels(method or _UNKNOWN, "accepted").inc()
        metrics.time_to_verify.labels(method or _UNKNOWN).observe(seconds)

    def rejected(_: Flask, *, method: str | None, reason: str | None, **__: str | None) -> None:
        metrics.verdicts.labels(method or _UNKNOWN, reason).inc()

    def refused(_: Flask, *, method: str | None, reason: str | None, **__: str | None) -> None:
        metrics.refusals.labels(method or _UNKNOWN, reason).inc()

    def locked(_: Flask, *, method: str | None, reason: str | None, **__: str | None) -> None:
        metrics.lockouts.labels(method or _UNKNOWN, reason).inc()

    return [
        (signals.code_sent, sent),
        (signals.send_failed, failed),
        (signals.code_verified, verified),
        (signals.code_rejected, rejected),
        (signals.rate_limited, refused),
        (signals.identifier_locked, locked),
    ]
