"""Deferred imports: executed at their first use, and unseen by those who look through sys.modules."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from activitymodule.deferred import Deferred, deferred_imports

VERB = """
from house import rooms
from house.attic import box
from house.cellar import WINE
from house.rooms import kitchen
"""


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of which each module records that it was executed, and a module that imports it."""
    files = {
        "verb": VERB,
        "house/__init__": "",
        "house/attic/__init__": "",
        "house/attic/box": "import house.cellar\nWHAT = 'hats'",
        "house/cellar": "WINE = 3",
        "house/rooms/__init__": "",
        "house/rooms/kitchen": "from house.attic.box import WHAT",
    }
    for name, text in files.items():
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name == "verb" or f"{name}.".startswith("house.")]:
        del sys.modules[name]


def executed() -> set[str]:
    return {name for name in sys.modules if f"{name}.".startswith("house.")}


def verb() -> ModuleType:
    with deferred_imports(["house."]):
        import verb  # type: ignore[import-not-found]
    return verb


def test_a_module_is_executed_when_it_is_used(house: Path) -> None:
    found = verb()
    # a name that is needed at once is there, and only its module was executed
    assert found.WINE == 3
    assert executed() == {"house", "house.cellar"}
    assert isinstance(found.box, Deferred)
    assert found.box.WHAT == "hats"
    assert executed() == {"house", "house.cellar", "house.attic", "house.attic.box"}
    assert found.kitchen.WHAT == "hats"
    assert not any(isinstance(module, Deferred) for module in sys.modules.values())


def test_whoever_looks_through_all_modules_executes_none(house: Path) -> None:
    found = verb()
    before = executed()
    for module in list(sys.modules.values()):
        getattr(module, "WHAT", None)
    assert executed() == before
    assert not any(isinstance(value, Deferred) for value in vars(sys.modules["house"]).values())
    with pytest.raises(AttributeError):
        found.box.no_such_name  # noqa: B018


def test_what_is_missing_is_an_import_error(house: Path) -> None:
    with deferred_imports(["house."]), pytest.raises(ModuleNotFoundError):
        import house.garden  # type: ignore[import-not-found]  # noqa: F401
