"""Testing tools for applications: an outbox that replaces the sender, and a real MongoDB."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from .outbox import Outbox as Outbox
    from .outbox import Sent as Sent
    from .outbox import otp_outbox as otp_outbox
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "Outbox": "outbox",
            "Sent": "outbox",
            "otp_outbox": "outbox",
        },
    )
