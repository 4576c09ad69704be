"""A reply of the database that is lost: what it has done counts, and nobody is signed out by it."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from support.lossy_proxy import LossyProxy, lossy_proxy
from support.servers import Site, threaded
from support.world import World, build_world


@pytest.fixture
def proxy(mongo_uri: str) -> Iterator[LossyProxy]:
    server = urlsplit(mongo_uri)
    with lossy_proxy(server.hostname or "", server.port or 27017) as proxy:
        yield proxy


@pytest.fixture
def world(mongo_uri: str, proxy: LossyProxy) -> Iterator[World]:
    server = urlsplit(mongo_uri)
    uri = server._replace(netloc=f"127.0.0.1:{proxy.port}").geturl()
    # The driver's monitor keeps a connection of another kind, on which the server speaks first.
    separator = "&" if server.query else "?"
    world = build_world(
        f"{uri}{separator}directConnection=true&serverMonitoringMode=poll", REFRESH_TOKEN=True
    )
    yield world
    world.close()


def refresh(site: Site, token: str) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {token}"}
    answer = site.send("POST", "/otp/refresh", headers=headers)
    data = answer.json.get("data", {})
    return answer.status, data.get("refreshToken", "")


def test_refresh_token_whose_use_was_not_answered_works_again(
    world: World, proxy: LossyProxy
) -> None:
    with threaded(world.app) as site:
        token = site.verify(site.initiate(), world.code).json["data"]["refreshToken"]
        for _ in range(3):
            proxy.lose_reply_to("findAndModify")
            status, lost = refresh(site, token)
            assert proxy.has_lost
            # A replica set answers the driver's second try; a server alone cannot be asked twice.
            assert (status, lost) == (503, "") or status == 200
            status, token = refresh(site, token)
            assert status == 200


def test_code_whose_verdict_was_not_answered_signs_in_nobody_else(
    world: World, proxy: LossyProxy
) -> None:
    with threaded(world.app) as site:
        session_id = site.initiate()
        proxy.lose_reply_to("findAndModify")
        assert site.verify(session_id, world.code).status == 503
        assert proxy.has_lost
        assert site.verify(session_id, world.code).json["error"]["code"] == "alreadyVerified"
