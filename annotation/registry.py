"""What the console consists of: modules of annotation/pages and annotation/api register themselves when imported.

A page is one file in annotation/pages with a function that `frame.page` decorates; its place in the navigation and
who may see it are arguments of the decorator. REST routes are one file in annotation/api with a `router`. No list of
names is kept anywhere: every file of the two folders is loaded, and a file that cannot be imported, or that holds
neither, stops the console with its name.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from fastapi import APIRouter

from activitymodule.errors import ConfigError
from activitymodule.store.users import Role


@dataclass(frozen=True)
class Page:
    """A page. It is in the navigation if it has an icon (the inside of a 24 x 24 SVG that is drawn with strokes)."""

    path: str
    title: str
    function: Callable[..., Any]
    role: Role = "annotator"
    icon: str = ""
    group: str = ""
    order: int = 100


_pages: dict[str, Page] = {}


def register(page: Page) -> None:
    """Add a page. Raises ConfigError if another module has its path."""
    before = _pages.get(page.path)
    if before is not None and before.function.__module__ != page.function.__module__:
        raise ConfigError(
            f"two pages have the path {page.path}: {before.function.__module__} and {page.function.__module__}"
        )
    _pages[page.path] = page


def navigation(role: Role) -> list[Page]:
    """The entries that a user of this role sees, in their order."""
    shown = [page for page in _pages.values() if page.icon and (page.role != "admin" or role == "admin")]
    return sorted(shown, key=lambda page: (page.order, page.title))


def load_pages(package: ModuleType) -> list[APIRouter]:
    """Import every module of a package of pages; returns the routers of those that have one.

    Raises ConfigError for a module that cannot be imported, or that holds neither a page nor a router.
    """
    routers = []
    for module in _modules(package):
        router = getattr(module, "router", None)
        if router is not None:
            routers.append(router)
        elif not any(page.function.__module__ == module.__name__ for page in _pages.values()):
            raise ConfigError(f"{module.__name__} holds no page: decorate its function with frame.page")
    return routers


def load_routers(package: ModuleType) -> list[APIRouter]:
    """Import every module of a package of REST routes; returns their routers.

    Raises ConfigError for a module that cannot be imported, or that has no `router`.
    """
    modules = _modules(package)
    for module in modules:
        if not isinstance(getattr(module, "router", None), APIRouter):
            raise ConfigError(f"{module.__name__} has no `router` (a fastapi.APIRouter)")
    return [module.router for module in modules]


def _modules(package: ModuleType) -> list[ModuleType]:
    modules = []
    for found in pkgutil.iter_modules(package.__path__):
        name = f"{package.__name__}.{found.name}"
        try:
            modules.append(importlib.import_module(name))
        except (ImportError, SyntaxError) as error:
            raise ConfigError(f"{name} cannot be imported: {type(error).__name__}: {error}") from error
    return modules
