"""Give each worker of gunicorn a port of its own, beside the one that all of them share.

Which worker takes a connection to a shared port is up to the system, and may be one for all.
"""

from __future__ import annotations

from typing import Any


def pre_fork(arbiter: Any, worker: Any) -> None:
    shared, *own = worker.sockets
    taken = [other.sockets[1] for other in arbiter.WORKERS.values()]
    worker.sockets = [shared, next(listener for listener in own if listener not in taken)]
