"""Slots of the background sender."""

from __future__ import annotations

import time

from support.servers import PATIENCE

from flask_otp_auth.background import BackgroundSender, Slot
from flask_otp_auth.exceptions import ServiceUnavailable


def slot_of(sender: BackgroundSender) -> Slot:
    """Reserve a slot as soon as one is free."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return sender.reserve()
        except ServiceUnavailable:
            assert time.monotonic() < deadline, "the slot does not come back"
            time.sleep(0.01)
