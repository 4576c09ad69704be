"""CPU time of processes and their descendants, as Linux counts it."""

from __future__ import annotations

import os
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_UTIME, _STIME, _PPID = 11, 12, 1  # after the name, which may hold spaces


def _fields(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def family(pid: int) -> list[int]:
    """Return *pid* and all its descendants that are alive."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int(_fields(int(entry.name))[_PPID])
            except (FileNotFoundError, ProcessLookupError):
                continue
    members = [pid]
    for member in members:
        members.extend(child for child, parent in parents.items() if parent == member)
    return members


def cpu_seconds(pid: int) -> float:
    """Return the user and system time that *pid* and its descendants have used so far."""
    total = 0
    for member in family(pid):
        fields = _fields(member)
        total += int(fields[_UTIME]) + int(fields[_STIME])
    return total / _TICK
