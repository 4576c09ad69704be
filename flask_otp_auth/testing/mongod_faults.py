"""Explaining why mongod did not start, from its output, and what to do about it."""

from __future__ import annotations

import contextlib
import json
import re
import signal
from pathlib import Path

_DEBIAN_PACKAGES = {
    "libcurl.so.4": "libcurl4",
    "libssl.so.3": "libssl3",
    "libcrypto.so.3": "libssl3",
    "liblzma.so.5": "liblzma5",
}
WAY_OUT = (
    "Instead of this private server you can use any MongoDB:\n"
    "  docker run --rm -p 27017:27017 mongo\n"
    "  export MONGO_URI=mongodb://127.0.0.1:27017/otp_demo\n"
    "or install your system's MongoDB server package, so that 'mongod' is on PATH."
)


class MongodError(RuntimeError):
    """The server is not running or cannot be started. The message says why and what to do."""


def explain(returncode: int, report: str, dbpath: Path) -> str:
    """Return why mongod ended and what to do about it.

    :param returncode: its exit status as :mod:`subprocess` reports it, negative for a signal.
    :param report: what it wrote to its log and to the terminal.
    :param dbpath: the folder with its data.
    """
    if missing := re.search(r"loading shared libraries: (?:\S*/)?([\w.+-]+)", report):
        library = missing[1]
        how = "Install the system package that contains it."
        if package := _DEBIAN_PACKAGES.get(library):
            packages = " ".join(dict.fromkeys([package, "libcurl4", "libssl3"]))
            how = f"On Debian and Ubuntu:\n  apt-get install {packages}"
        return f"mongod needs the system library {library}, which is missing. {how}\n{WAY_OUT}"
    if "DBPathInUse" in report:
        return (
            f"Another mongod already serves {dbpath}. Stop that one first, or set MONGO_URI to "
            "the server that you want to use."
        )
    reason = f"exit status {returncode}"
    if returncode < 0:
        reason = f"signal {-returncode}"
        with contextlib.suppress(AttributeError, ValueError):
            reason = signal.Signals(-returncode).name
    if reason == "SIGILL":
        reason += "; this processor lacks the AVX instructions that MongoDB 5 and later need"
    lines = "\n".join(f"  {line}" for line in _last_lines(report)) or "  (it wrote nothing)"
    return f"mongod ended before it answered ({reason}). Its last output:\n{lines}\n{WAY_OUT}"


def _last_lines(report: str, count: int = 8) -> list[str]:
    """Return the last lines, or the last errors if there are any, as plain text."""
    grave: list[str] = []
    plain: list[str] = []
    for line in filter(None, map(str.strip, report.splitlines())):
        try:
            entry = json.loads(line)
            error = entry["attr"].get("error", "") if "attr" in entry else ""
            text = f"{entry['msg']}: {error}" if error else str(entry["msg"])
            (grave if entry["s"] in "EF" else plain).append(text)
        except (ValueError, LookupError, AttributeError, TypeError):
            grave.append(line)
    return [line[:500] for line in (grave or plain)[-count:]]
