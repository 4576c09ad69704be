"""Expressions of MongoDB's update pipelines that the verdict and the accounts have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument

Expression = Any  # a mapping, a "$field", or a constant
Stage = Mapping[str, Any]

INTEGER = ["int", "long"]


def switch(*branches: tuple[Expression, Expression], default: Expression) -> Expression:
    """Return the expression that takes the value of the first branch whose case is true."""
    return {
        "$switch": {
            "branches": [{"case": case, "then": value} for case, value in branches],
            "default": default,
        }
    }


def has_type(field: str, *types: str) -> Expression:
    """Return whether a field has one of *types*; ``"missing"`` is one of them."""
    return {"$in": [{"$type": field}, list(types)]}


def is_list_of(field: str, sound: Expression) -> Expression:
    """Return whether a field is missing, or a list each of whose elements ``$$this`` is *sound*."""
    elements = {"$allElementsTrue": [{"$map": {"input": field, "in": sound}}]}
    # Not $and, which may look at the elements of what is no list.
    return {"$cond": [{"$isArray": [field]}, elements, has_type(field, "missing")]}


def where(field: Expression, condition: Expression) -> Expression:
    """Return the elements ``$$this`` of a list field that meet *condition*."""
    return {"$filter": {"input": field, "as": "this", "cond": condition}}


def encoded(stages: Sequence[Stage]) -> list[Stage]:
    """Return *stages* encoded once, since they are the same for every call and large."""
    return [RawBSONDocument(bson.encode(stage)) for stage in stages]
