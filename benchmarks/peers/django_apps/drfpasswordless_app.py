"""drfpasswordless: login by e-mailed code, answered with a token."""

from __future__ import annotations

import time
import uuid
from types import SimpleNamespace
from typing import Any

import jwt
from base import CODE_TTL, SECRET, configure, sent

TOKEN_TTL = 900

configure(
    ["rest_framework", "rest_framework.authtoken", "drfpasswordless"],
    [],
    ROOT_URLCONF="drfpasswordless.urls",
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    },
    PASSWORDLESS_AUTH={
        "PASSWORDLESS_AUTH_TYPES": ["EMAIL"],
        "PASSWORDLESS_TOKEN_EXPIRE_TIME": CODE_TTL,
        "PASSWORDLESS_REGISTER_NEW_USERS": False,
        "PASSWORDLESS_EMAIL_NOREPLY_ADDRESS": "noreply@example.com",
        "PASSWORDLESS_EMAIL_CALLBACK": "drfpasswordless_app.send",
        "PASSWORDLESS_AUTH_TOKEN_CREATOR": "drfpasswordless_app.create_token",
    },
)


def send(user: Any, email_token: Any, **kwargs: Any) -> bool:
    """Hand the code over."""
    sent.code = email_token.key
    return True


def create_token(user: Any) -> tuple[SimpleNamespace, bool]:
    """Make the token that the other apps here make, in place of a stored one."""
    now = int(time.time())
    claims = {
        "fresh": True,
        "iat": now,
        "jti": str(uuid.uuid4()),
        "type": "access",
        "sub": str(user.pk),
        "nbf": now,
        "exp": now + TOKEN_TTL,
        "amr": ["otp"],
        "auth_time": now,
    }
    return SimpleNamespace(key=jwt.encode(claims, SECRET, "HS256")), True


from django.core.wsgi import get_wsgi_application  # noqa: E402

application = get_wsgi_application()
