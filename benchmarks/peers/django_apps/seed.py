"""Makes the tables of a Django peer (BENCH_DJANGO) and as many users as the argument says."""

from __future__ import annotations

import importlib
import os
import sys

from base import database_file

for ending in ("", "-wal", "-shm"):
    database_file().with_name(database_file().name + ending).unlink(missing_ok=True)

importlib.import_module(os.environ["BENCH_DJANGO"])

from django.core.management import call_command  # noqa: E402
from people.models import User  # noqa: E402


def main() -> None:
    """Make them."""
    call_command("migrate", run_syncdb=True, verbosity=0)
    addresses = [f"user{n}@example.com" for n in range(int(sys.argv[1]))]
    User.objects.bulk_create(
        [User(username=address, email=address, password="!") for address in addresses], 500
    )


if __name__ == "__main__":
    main()
