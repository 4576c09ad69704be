"""A pending session, as the tests of the store put it into the database."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from support.world import NOW

from flask_otp_auth.types import Session

PHONE = "+46701234567"
ID = "0123456789abcdef" * 2
OTHER_ID = "fedcba9876543210" * 2
RIGHT, RIGHT_OF_OLD_KEY, WRONG = b"r" * 32, b"o" * 32, b"w" * 32
EXPIRES = NOW + timedelta(seconds=300)


def new_session(**changes: Any) -> Session:
    return Session(
        **{
            "session_id": ID,
            "identifier": PHONE,
            "method": "sms",
            "status": "pending",
            "attempts": 0,
            "max_attempts": 3,
            "created_at": NOW,
            "expires_at": EXPIRES,
            "verified_at": None,
            "payload": None,
            **changes,
        }
    )
