"""A proxy before MongoDB that can lose a reply after the server has done what it was asked for."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

_CHUNK = 65536


@dataclass
class LossyProxy:
    """Passes everything on, except the reply to the next command of a name.

    :param port: where it listens on 127.0.0.1.
    """

    port: int
    _losing: bytes | None = None
    _lost: threading.Event = field(default_factory=threading.Event)

    def lose_reply_to(self, command: str) -> None:
        """Have the connection break off once the server has answered the next *command*."""
        self._lost.clear()
        self._losing = command.encode()

    @property
    def has_lost(self) -> bool:
        """Whether a reply has been lost since it was asked for."""
        return self._lost.is_set()

    def _is_lost(self, request: bytes) -> bool:
        if self._losing is None or self._losing not in request:
            return False
        self._losing = None
        return True

    def serve(self, client: socket.socket, server: tuple[str, int]) -> None:
        """Pass on one connection; the driver sends a request and waits for its reply."""
        with client, socket.create_connection(server) as upstream, contextlib.suppress(OSError):
            while request := client.recv(_CHUNK):
                upstream.sendall(request)
                reply = _message(upstream)
                if self._is_lost(request):
                    self._lost.set()
                    return
                client.sendall(reply)


def _message(connection: socket.socket) -> bytes:
    """Read one message, which begins with its length (MongoDB manual, "Wire Protocol")."""
    data = connection.recv(_CHUNK)
    length = int.from_bytes(data[:4], "little")
    while data and len(data) < length:
        data += connection.recv(_CHUNK)
    return data


@contextlib.contextmanager
def lossy_proxy(host: str, port: int) -> Iterator[LossyProxy]:
    """Run a proxy before the server at *host* and *port*."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        proxy = LossyProxy(listening.getsockname()[1])

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listening.accept()
                    threading.Thread(
                        target=proxy.serve, args=(client, (host, port)), daemon=True
                    ).start()

        threading.Thread(target=accept, daemon=True).start()
        yield proxy
        listening.shutdown(socket.SHUT_RDWR)
