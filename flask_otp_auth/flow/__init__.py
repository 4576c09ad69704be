"""What each request does, from initiate to logout, as plain functions without Flask or HTTP."""

from .accounts import device_of_session as device_of_session
from .accounts import erase as erase
from .accounts import export as export
from .accounts import find_session as find_session
from .accounts import forget_devices as forget_devices
from .accounts import identify as identify
from .accounts import trusted_device as trusted_device
from .accounts import unlock as unlock
from .initiate import initiate as initiate
from .logins import end_login as end_login
from .logins import end_logins as end_logins
from .logins import is_logged_out as is_logged_out
from .logins import logins_of as logins_of
from .logins import refresh as refresh
from .resend import resend as resend
from .verify import confirm as confirm
from .verify import verify as verify
