"""Testing tools for applications: an outbox that replaces the sender, and a real MongoDB."""

from .outbox import Outbox as Outbox
from .outbox import Sent as Sent
from .outbox import otp_outbox as otp_outbox
