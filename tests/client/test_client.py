"""The JavaScript client: where it is served, and that it does what it says in Node."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask_jwt_extended import jwt_required
from support.servers import PATIENCE, ROOT, Site, threaded
from support.world import MakeWorld, World

import flask_otp_auth

SOURCE = Path(flask_otp_auth.__file__).parent / "static" / "otp_auth" / "client.js"
NODE = shutil.which("node")


def with_views(world: World) -> Flask:
    """Add what the script asks besides the endpoints."""

    @world.app.get("/last-code")
    def last_code() -> str:
        return world.code

    @world.app.get("/me")
    @jwt_required()
    def me() -> str:
        return "welcome"

    return world.app


@pytest.fixture
def site(world: World) -> Iterator[Site]:
    with threaded(world.app) as site:
        yield site


@pytest.mark.skipif(NODE is None, reason="needs Node 18 or later: apt-get install nodejs")
def test_client_does_in_node_what_it_says(make_world: MakeWorld, tmp_path: Path) -> None:
    module = tmp_path / "client.mjs"  # the name by which Node knows a module outside a package
    module.write_bytes(SOURCE.read_bytes())
    opened, guarded = make_world(REFRESH_TOKEN=True), make_world(guarded=True, COLLECTION="guarded")
    with threaded(with_views(opened)) as open_site, threaded(guarded.app) as guarded_site:
        env = {"OPEN": open_site.url, "GUARDED": guarded_site.url, "CLIENT": module.as_uri()}
        run = subprocess.run(
            [str(NODE), "--test", "--test-reporter=spec", "tests/client/client.test.mjs"],
            cwd=ROOT,
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    assert run.returncode == 0, run.stdout + run.stderr


def test_client_is_served_as_a_module_that_browsers_keep_and_ask_after(site: Site) -> None:
    answer = site.send("GET", "/otp/static/otp_auth/client.js")

    assert answer.status == 200
    assert answer.body == SOURCE.read_bytes()
    assert answer.headers["Content-Type"].startswith("text/javascript")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-cache"
    unchanged = {"If-None-Match": answer.headers["ETag"]}
    assert site.send("GET", "/otp/static/otp_auth/client.js", headers=unchanged).status == 304


@pytest.mark.parametrize(
    "path", ["/../__init__.py", "/%2e%2e/__init__.py", "/..%2f..%2f__init__.py", "/", ""]
)
def test_nothing_else_of_the_package_is_served(site: Site, path: str) -> None:
    assert site.send("GET", f"/otp/static/otp_auth{path}").status == 404


def test_client_is_served_beside_the_files_of_an_app_at_the_root(make_world: MakeWorld) -> None:
    world = make_world(URL_PREFIX="/")
    with threaded(world.app) as site:
        assert site.send("GET", "/static/otp_auth/client.js").status == 200
