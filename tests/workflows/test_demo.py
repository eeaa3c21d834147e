"""The demo leaves a report alone that somebody made of other people."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from own_settings import replaced

from activitymodule.lake.exports import exports_folder, write_export
from activitymodule.settings import load
from activitymodule.workflows.demo import _reports_are_ours


@pytest.mark.parametrize(
    ("sources", "ours"), [([], True), (["devices", "fitbit"], True), (["synthetic", "synthetic"], False)]
)
def test_a_report_on_synthetic_people_is_not_replaced(tmp_path: Path, sources: list[str], ours: bool) -> None:
    config = replaced(load({}), reports={"folder": str(tmp_path)})
    if sources:
        table = pa.table({"participant": ["a", "b"], "source": sources})
        write_export(exports_folder(config), "people", table, order=["participant"])
    assert _reports_are_ours(config) is ours


def test_a_damaged_report_is_left_to_who_made_it(tmp_path: Path) -> None:
    config = replaced(load({}), reports={"folder": str(tmp_path)})
    exports_folder(config).mkdir()
    (exports_folder(config) / "people.parquet").write_bytes(b"PAR1")
    assert not _reports_are_ours(config)
