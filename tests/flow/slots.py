"""Slots of the background sender."""

from __future__ import annotations

import threading
import time

from support.servers import PATIENCE
from support.world import World

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


def fill(world: World, until: threading.Event) -> BackgroundSender:
    """Take all places of an app, none of which comes back before *until* is set."""
    background: BackgroundSender = world.app.extensions["otp_auth"].background
    with world.app.app_context():
        for _ in range(204):
            background.reserve().run(until.wait, PATIENCE)
    return background
