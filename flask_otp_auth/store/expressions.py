"""Building blocks of update pipelines, for the verdict, the accounts and the logins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument

Expression = Any  # a mapping, a "$field", or a constant
Stage = Mapping[str, Any]

INTEGER = ["int", "long"]


def switch(*branches: tuple[Expression, Expression], default: Expression) -> Expression:
    """Return the value of the first branch whose case is true, else *default*."""
    return {
        "$switch": {
            "branches": [{"case": case, "then": value} for case, value in branches],
            "default": default,
        }
    }


def has_type(field: str, *types: str) -> Expression:
    """Return the condition that a field has one of *types*; ``"missing"`` is a type as well."""
    return {"$in": [{"$type": field}, list(types)]}


def is_list_of(field: str, sound: Expression) -> Expression:
    """Return the condition that a field is missing, or a list of elements which are all *sound*.

    :param field: the field, as ``"$field"``.
    :param sound: the condition for an element, which is ``$$this``.
    """
    elements = {"$allElementsTrue": [{"$map": {"input": field, "in": sound}}]}
    # Not $and, which may evaluate the elements even if there is no list.
    return {"$cond": [{"$isArray": [field]}, elements, has_type(field, "missing")]}


def where(field: Expression, condition: Expression) -> Expression:
    """Return the elements of a list that meet *condition*, in which an element is ``$$this``."""
    return {"$filter": {"input": field, "as": "this", "cond": condition}}


def milliseconds(time: timedelta) -> int:
    """Return a duration in milliseconds, as MongoDB adds it to a date."""
    return time // timedelta(milliseconds=1)


def later(moment: Expression, by: timedelta) -> Expression:
    """Return the time *by* after *moment*; it is null if *moment* is missing."""
    return {"$add": [moment, milliseconds(by)]}


def earlier(moment: Expression, by: timedelta) -> Expression:
    """Return the time *by* before *moment*."""
    return {"$subtract": [moment, milliseconds(by)]}


def encoded(stages: Sequence[Stage]) -> list[Stage]:
    """Return *stages* encoded as BSON, once, because they are large and never change."""
    return [RawBSONDocument(bson.encode(stage)) for stage in stages]
