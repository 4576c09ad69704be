"""Listeners to what goes to the database."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from pymongo.monitoring import CommandListener


class Heard(CommandListener):
    """The commands that went to the database, in order."""

    def __init__(self) -> None:
        self.commands: list[dict[str, Any]] = []

    def started(self, event: Any) -> None:
        self.commands.append(copy.deepcopy(dict(event.command)))

    def succeeded(self, event: Any) -> None:
        pass

    def failed(self, event: Any) -> None:
        pass

    @property
    def names(self) -> list[str]:
        """The names of the commands."""
        return [next(iter(command)) for command in self.commands]

    def take(self) -> list[tuple[str, str]]:
        """Return (command, collection) since the last time."""
        taken = [next(iter(command.items())) for command in self.commands]
        self.commands.clear()
        return taken


def one_by_one(command: dict[str, Any]) -> list[dict[str, Any]]:
    """Return *command* with each of its updates alone, since only one can be explained."""
    updates = command.get("updates")
    return [command] if updates is None else [{**command, "updates": [one]} for one in updates]


class Meanwhile(CommandListener):
    """Does something the moment before a command goes to a collection, once."""

    def __init__(self) -> None:
        self.command: tuple[str, str] | None = None
        self.deed: Callable[[], Any] = lambda: None

    def before(self, name: str, deed: Callable[[], Any], collection: str = "otp_sessions") -> None:
        self.command, self.deed = (name, collection), deed

    def started(self, event: Any) -> None:
        if self.command == next(iter(event.command.items())):
            self.command = None
            self.deed()

    def succeeded(self, event: Any) -> None:
        pass

    def failed(self, event: Any) -> None:
        pass
