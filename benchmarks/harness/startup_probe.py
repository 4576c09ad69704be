"""A new interpreter that imports the extension, initialises it once, and tells what that took."""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
import time
from pathlib import Path

NEEDED = (
    "flask",
    "flask_pymongo",
    "flask_jwt_extended",
    "flask_limiter",
    "marshmallow",
    "email_validator",
)
OPTIONAL = ("asgiref", "cryptography", "phonenumbers", "redis")


def sockets() -> int:
    """Return how many sockets this process holds."""
    folder = Path("/proc/self/fd")
    return sum("socket:" in str(link.readlink()) for link in folder.iterdir() if link.is_symlink())


def timed_import(*names: str) -> float:
    """Import *names* and return the milliseconds."""
    start = time.perf_counter()
    for name in names:
        importlib.import_module(name)
    return (time.perf_counter() - start) * 1000


def main() -> None:
    """Probe."""
    bare = set(sys.modules)
    needed_ms = timed_import(*NEEDED) if sys.argv[1] == "after" else 0.0
    before = set(sys.modules)
    import_ms = timed_import("flask_otp_auth.extension")  # that of its name, which is lazy
    added = set(sys.modules) - before

    from flask import Flask
    from flask_pymongo import PyMongo

    from flask_otp_auth import FlaskOtpAuth

    app = Flask("probe")
    app.config.update(
        SECRET_KEY="x" * 32,
        JWT_SECRET_KEY="y" * 32,
        MONGO_URI="mongodb://127.0.0.1:9/probe",  # nobody answers there, and nobody has to
    )
    mongo = PyMongo(app)
    open_before = sockets()
    start = time.perf_counter()
    FlaskOtpAuth().init_app(app, mongo=mongo)
    init_ms = (time.perf_counter() - start) * 1000
    json.dump(
        {
            "needed_ms": needed_ms,
            "import_ms": import_ms,
            "init_ms": init_ms,
            "modules": len(added),
            "own_modules": sum(name.split(".")[0] == "flask_otp_auth" for name in added),
            "all_modules": len(set(sys.modules) - bare),
            "optional": sorted(name for name in OPTIONAL if name in sys.modules),
            "new_sockets": sockets() - open_before,
            "threads": threading.active_count(),
        },
        sys.stdout,
    )


if __name__ == "__main__":
    sys.path.insert(0, os.environ["BENCH_ROOT"])
    main()
