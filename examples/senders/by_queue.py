"""Sending outside the process, with RQ: ``otp.send_code_handler(queue_sender(queue, deliver))``.

The code lies in Redis until a worker takes it, so the job is forgotten after a minute, whether it
ran, failed or waited, and its description, which RQ logs, is not the default one with all
arguments. A worker is started with ``rq worker otp-codes --url redis://...``.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from rq import Queue

from flask_otp_auth.types import Method, Payload, SendCodeHandler

from .by_smtp import smtp_sender

Job = Callable[[str, str, Method, Payload | None], bool]
_SECONDS = 60


def queue_sender(queue: Queue, job: Job) -> SendCodeHandler:
    """Return a sender that only puts a job into a queue.

    :param job: a function that a worker can import; it sends the code.
    """

    def send_code(code: str, identifier: str, method: Method, payload: Payload | None) -> bool:
        queue.enqueue(
            job,
            args=(code, identifier, method, payload),
            description="send a login code",
            ttl=_SECONDS,
            job_timeout=_SECONDS,
            result_ttl=0,
            failure_ttl=0,
        )
        return True

    return send_code


def deliver(code: str, identifier: str, method: Method, payload: Payload | None) -> bool:
    """Send a code from a worker; the settings are in its environment."""
    send_code = smtp_sender(
        os.environ["SMTP_HOST"],
        int(os.environ["SMTP_PORT"]),
        user=os.environ["SMTP_USER"],
        password=os.environ["SMTP_PASSWORD"],
        sender=os.environ["SMTP_SENDER"],
    )
    return bool(send_code(code, identifier, method, payload))
