"""Recordings at an address: found as in a folder, and copied to be read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest

from activitymodule.errors import ConfigError
from activitymodule.telemetry.sources import SOURCES, read, remote

CASAS = "stamp,pitch,user_activity_label\ndt,f,s\n2023-02-17 10:00:00.000,0.5,\n"


def test_an_address_has_the_units_of_its_folder(tmp_path: Path) -> None:
    for name in ("c01/p 1.csv", "p2.csv", "_fetched/p2.csv.json", ".p3.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(CASAS)
    casas = SOURCES["casas"]
    (tmp_path / ".p3.csv").rename(tmp_path / "_p3.csv")
    found = remote.scan(casas, f"file://{tmp_path}")
    (tmp_path / "_p3.csv").unlink()
    assert [replace(unit, path=unquote(unit.path.removeprefix("file://"))) for unit in found] == casas.scan(
        tmp_path
    )
    assert set(found.values()) == {len(CASAS)}
    unit = next(iter(found))
    with remote.local(unit) as here:
        copy = Path(here.path)
        assert (here.person, copy.name, copy.read_text()) == ("p_1", "p 1.csv", CASAS)
        assert sum(chunk.readings.num_rows for chunk in read(here)) == 1
    assert not copy.exists()
    with remote.local(casas.scan(tmp_path)[0]) as here:
        assert here.path == str(tmp_path / "c01/p 1.csv"), "what is here is not copied"


def test_only_sources_that_read_file_by_file_take_addresses(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="aws s3 sync"):
        remote.scan(SOURCES["wisdm"], f"file://{tmp_path}")
    with pytest.raises(ConfigError, match="holds no"):
        remote.scan(SOURCES["casas"], f"file://{tmp_path}")
