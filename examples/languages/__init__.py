"""One language more, from right to left: the login page and the messages in Arabic.

Run it from the root of the repository::

    pip install -e '.[demo]'
    flask --app examples/languages run

then open http://127.0.0.1:5000/otp/login in a browser that prefers Arabic. Apart from its words,
this is the application of ``examples/quickstart``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask

import quickstart

#: Every key of ``flask_otp_auth/texts/en.json``, in Arabic. One that is missing is said in English.
ARABIC = json.loads(Path(__file__).with_name("ar.json").read_text("utf-8"))


def create_app(
    config: Mapping[str, Any] | None = None, *, instance_path: Path | None = None
) -> Flask:
    """Build the application.

    :param config: settings; they win over those of the example.
    :param instance_path: where the database and the secret key live; by default the folder
        ``instance`` beside this file, which git ignores.
    """
    instance = instance_path or Path(__file__).with_name("instance")
    texts = {"OTP_AUTH_TEXTS": {"ar": ARABIC}}
    return quickstart.create_app({**texts, **(config or {})}, instance_path=instance)
