"""Public names that are imported when they are used.

pytest loads the plugin of this package, and so the package, in every environment that has it. A
test run that uses none of its fixtures should not wait for Flask, PyMongo and Flask-Limiter.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping


def lazy_names(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """Return the ``__getattr__`` of a package (PEP 562).

    :param package: the ``__name__`` of the package.
    :param homes: the module that defines each public name, relative to the package. Modules of the
        package that were not imported yet are found as well.
    """

    def get(name: str) -> object:
        if name in homes:
            return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)
        module = f"{package}.{name}"
        try:
            return importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
            raise AttributeError(f"module {package!r} has no attribute {name!r}") from None

    return get
