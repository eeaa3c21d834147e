"""Imports that are executed at their first use: with Spark, scikit-learn or MLflow a verb's help would take seconds.

`importlib.util.LazyLoader` does not do: its modules are in sys.modules before they are executed, and libraries that
look through sys.modules (skops, pickle) execute them in the middle of another import.
"""

from __future__ import annotations

import importlib
import importlib.abc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType


class Deferred(ModuleType):
    """Stands for a module, which is imported when one of its names is used. It never stays in sys.modules."""

    def __getattr__(self, name: str) -> object:
        # of a package within the block the import system asks for its modules first, which get stand-ins of their own
        if name.startswith("__") or (_finders() and self._has_module(name)):
            raise AttributeError(name)
        return getattr(_imported(self.__name__), name)

    def _has_module(self, name: str) -> bool:
        path = vars(self).get("__path__")
        return path is not None and PathFinder.find_spec(f"{self.__name__}.{name}", path) is not None


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules by their prefixes, and makes a stand-in of each."""

    def __init__(self, deferred: Sequence[str], eager: Sequence[str]) -> None:
        self._deferred, self._eager = tuple(deferred), tuple(eager)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not f"{fullname}.".startswith(self._deferred) or fullname.startswith(self._eager):
            return None
        found = PathFinder.find_spec(fullname, path, target)
        if found is None:
            return None
        spec = ModuleSpec(fullname, self, origin=found.origin)
        spec.submodule_search_locations = found.submodule_search_locations
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return Deferred(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: that is the point."""


@contextmanager
def deferred_imports(deferred: Sequence[str], eager: Sequence[str] = ()) -> Iterator[None]:
    """Within the block modules whose names begin with one of `deferred`, and with none of `eager`, are deferred."""
    finder = _Finder(deferred, eager)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        _take_out()


def _take_out() -> dict[str, Deferred]:
    """Remove the stand-ins from sys.modules and from their packages."""
    found = {name: module for name, module in sys.modules.items() if isinstance(module, Deferred)}
    for name, module in found.items():
        del sys.modules[name]
        package, _, own = name.rpartition(".")
        holder = sys.modules.get(package)
        if holder is not None and vars(holder).get(own) is module:
            delattr(holder, own)
    return found


def _finders() -> list[_Finder]:
    return [finder for finder in sys.meta_path if isinstance(finder, _Finder)]


def _imported(name: str) -> ModuleType:
    """The module itself. Where a stand-in is used within the block already, the others stay for the rest of it."""
    finders = _finders()
    if not finders:
        return importlib.import_module(name)
    others = _take_out()
    for finder in finders:
        sys.meta_path.remove(finder)
    try:
        return importlib.import_module(name)
    finally:
        sys.meta_path[:0] = finders
        sys.modules.update({other: module for other, module in others.items() if other not in sys.modules})
