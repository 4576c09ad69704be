"""The React Native example: its screens, rendered by its own tests, sign in against its API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest
from npm import copy_example, install, needs_node, npm, token_api
from support.world import SECRET_KEY

pytestmark = [pytest.mark.slow, pytest.mark.browser, needs_node]

IDENTIFIER = "reader@example.com"
CODE = "271828"


def test_person_signs_in_on_a_phone(mongo_uri: str, tmp_path: Path) -> None:
    until = datetime.now(UTC).date() + timedelta(days=2)
    reviewer = {IDENTIFIER: {"code": CODE, "until": until}}
    with token_api(mongo_uri, tmp_path / "instance", OTP_AUTH_TEST_IDENTIFIERS=reviewer) as api:
        example = copy_example("react_native", tmp_path)
        install(example)
        npm(
            example,
            *("test", "--", "--ci"),
            EXPO_PUBLIC_API_URL=api.url,
            OTP_IDENTIFIER=IDENTIFIER,
            OTP_CODE=CODE,
            OTP_EXPIRED_TOKEN=jwt.encode({"sub": "user-2", "exp": 0}, SECRET_KEY),
        )
