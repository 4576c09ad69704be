"""What a request does: initiate, resend, verify, unlock as plain functions; no Flask, no HTTP."""

from .accounts import find_session as find_session
from .accounts import unlock as unlock
from .send import initiate as initiate
from .send import resend as resend
from .verify import verify as verify
