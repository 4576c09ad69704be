"""Ids of users as text, and the purpose and the subject that a code can be bound to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from uuid import UUID

from bson import ObjectId

from .exceptions import InvalidRequest

UserId = str | int | UUID | ObjectId

_MAX_LENGTH = 128
_PURPOSE = re.compile(r"[a-z][a-z0-9-]{0,31}")
_LOGIN = "login"


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a code is for, if it is not for a login.

    :param name: 1 to 32 lower-case letters, digits and hyphens, beginning with a letter.
    :param subject: whose action it is, 1 to 128 characters, or ``None``.
    """

    name: str
    subject: str | None


def id_text(value: object) -> str | None:
    """Return the id of a user as a string, or ``None`` if *value* cannot be an id.

    An id is a str that is not empty, an int, a UUID or an ObjectId. It is not everything that
    ``str()`` accepts: ``False``, a method or NaN would be one user for everybody.
    """
    if not isinstance(value, UserId) or isinstance(value, bool | Enum):
        return None
    return str(value) or None


def read_subject(value: object, member: str) -> str:
    """Return the id of a user that an application passed.

    :param member: the name of the argument, for the error.
    :raises InvalidRequest: it is no id, or has more than 128 characters.
    """
    text = id_text(value)
    if text is None or len(text) > _MAX_LENGTH or not _is_unicode(text):
        message = "Must be a str of 1 to 128 characters, an int, a UUID or an ObjectId."
        raise InvalidRequest(fields={member: [message]})
    return text


def read_purpose(name: object, subject: object) -> Purpose | None:
    """Return the purpose that an application passed, or ``None`` for a login.

    :param name: ``None``, or 1 to 32 of ``a-z 0-9 -``, a letter first; not ``login``.
    :param subject: ``None``, or the id of a user.
    :raises InvalidRequest: one of them has another form, or there is a subject without a purpose.
    """
    if name is None and subject is None:
        return None
    if not isinstance(name, str) or not _PURPOSE.fullmatch(name) or name == _LOGIN:
        message = "Must be 1 to 32 of a-z, 0-9 and -, a letter first, and not 'login'."
        raise InvalidRequest(fields={"purpose": [message]})
    return Purpose(name, None if subject is None else read_subject(subject, "subject"))


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
