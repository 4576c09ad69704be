"""``flask otp`` of an application under test."""

from __future__ import annotations

import json
from typing import Any

from click.testing import Result
from support.world import World


def run(world: World, *arguments: str) -> Result:
    """Run a command as ``flask otp`` does."""
    return world.app.test_cli_runner().invoke(args=["otp", *arguments])


def data(result: Result) -> Any:
    """Return the JSON that a command printed."""
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)
