"""``flask otp openapi``: prints the description of the endpoints."""

from __future__ import annotations

import click

from ..openapi import as_text, describe
from .output import command, current_app_object


@command("openapi")
def openapi() -> None:
    """Print the OpenAPI description of the endpoints as JSON."""
    click.echo(as_text(describe(current_app_object())), nl=False)
