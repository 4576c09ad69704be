"""The sender of django-allauth."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from base import sent


class Adapter(DefaultAccountAdapter):
    """Hands the code over instead of rendering and mailing it; keeps codes numeric."""

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Hand the code over."""
        sent.code = context["code"]
