"""Makes as many users as the argument says; they share one TOTP secret, made as the app does."""

from __future__ import annotations

import json
import sys
import uuid

from app import User, app, security


def main() -> None:
    """Make them."""
    with app.app_context():
        secrets = json.dumps({"email": security.totp_factory.generate_totp_secret()})
        users = [
            User(
                email=f"user{n}@example.com",
                fs_uniquifier=uuid.uuid4().hex,
                us_totp_secrets=secrets,
            )
            for n in range(int(sys.argv[1]))
        ]
        User.objects.insert(users, load_bulk=False)


if __name__ == "__main__":
    main()
