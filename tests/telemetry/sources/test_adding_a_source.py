"""A source is one module: it is found, documented, prepared and replayed without another edit."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from activitymodule.errors import DataError
from activitymodule.jobs.schema import DOCUMENT, document_text
from activitymodule.settings import project_root
from activitymodule.telemetry import recordings, sources

MODULE = '''
import numpy as np

from activitymodule.errors import DataError
from activitymodule.telemetry.sources.base import Chunk, Ledger, Unit, chunk_table, files_in, register


@register
class Metronome:
    """`*.beat` files: one number, the readings of a watch that moves once a second."""

    name = "metronome"

    def scan(self, path):
        found = [file for file, _ in files_in(path, ".beat") if file.endswith(".beat")]
        if not found:
            raise DataError(f"{path} holds no .beat file")
        return [Unit(self.name, file, "p1") for file in found]

    def read(self, unit):
        n = int(open(unit.path).read())
        stamp = 1_700_000_000_000_000 + np.arange(n) * 100_000
        columns = {"stamp": stamp, "pitch": np.zeros(n), "roll": np.zeros(n), "heart_rate": np.full(n, 60.0)}
        yield Chunk(chunk_table(columns, unit.person, "metronome-p1", n), Ledger(n, n))
'''


@pytest.fixture
def metronome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with one recording of a source whose module is in another folder."""
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "metronome.py").write_text(MODULE)
    monkeypatch.setattr(sources, "__path__", [*sources.__path__, str(modules)])
    sources.discover()
    folder = tmp_path / "recordings"
    folder.mkdir()
    (folder / "one.beat").write_text("25")
    yield folder
    del sources.SOURCES["metronome"], sys.modules[f"{sources.__name__}.metronome"]


def test_it_is_found_by_name(metronome: Path) -> None:
    units = sources.source_named("metronome").scan(metronome)
    assert [(unit.source, unit.person) for unit in units] == [("metronome", "p1")]


def test_its_docstring_is_its_documentation(metronome: Path) -> None:
    document = document_text((project_root() / DOCUMENT).read_text())
    assert "### `metronome`\n\n`*.beat` files: one number, the readings of a watch" in document


def test_raw_recordings_are_recognised_and_replayed(metronome: Path, tmp_path: Path) -> None:
    found = recordings.find(str(metronome), tmp_path / "prepared")
    assert (found.source, found.people) == ("metronome", ["p1"])
    events = list(found.schedule(None, 10_000_000, 10))
    assert sum(event.readings for event in events) == 25


def test_a_path_of_no_source_names_them_all(metronome: Path, tmp_path: Path) -> None:
    assert list(sources.SOURCES)[-1] == "metronome"
    with pytest.raises(DataError, match=r"casas, .*metronome"):
        recordings.find(str(tmp_path / "modules"), tmp_path)
