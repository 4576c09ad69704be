"""A live application that serves its description."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from support.servers import Site, threaded
from support.world import MakeWorld, World


@dataclass(frozen=True)
class Live:
    """The application, where it listens, and what it says of itself."""

    world: World
    site: Site
    description: dict[str, Any]


@contextlib.contextmanager
def serve(make_world: MakeWorld, **options: Any) -> Iterator[Live]:
    """Serve an application; the limits are off, for they are not what is described."""
    world = make_world(OPENAPI=True, MAX_RESENDS=100, **options)
    with threaded(world.app) as site:
        answer = site.send("GET", "/otp/openapi.json")
        assert answer.status == 200, answer.text
        yield Live(world, site, answer.json)


def closed(description: dict[str, Any]) -> dict[str, Any]:
    """Return *description* with no member allowed in answers that it does not name."""
    strict = copy.deepcopy(description)
    for schema in strict["components"]["schemas"].values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return strict
