"""Neighbours of labelled windows, from the archive."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from archived import archive_readings

from activitymodule.lake import neighbours as module
from activitymodule.lake.neighbours import neighbours
from activitymodule.settings import Settings, build
from activitymodule.synthesis.history import training_readings
from activitymodule.windows.assembling import assemble
from activitymodule.windows.features import features
from activitymodule.windows.panes import windows_of


def test_spreading_reads_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neighbours come from archived messages, by the same features as the stream's, in portions of any size."""
    monkeypatch.setattr(module, "_PORTION", 4)
    monkeypatch.setattr(module, "_MESSAGES", 30)
    settings = build({"archive": {"folder": str(tmp_path / "archive")}})
    begin = 1_767_254_400
    made = training_readings(1, 5, 4, start=begin)
    device = made.readings.column("device_id")[0].as_py()
    archive_readings(settings, made.readings.slice(0, 900), files=2)  # the same messages, archived twice

    labelled = (begin + 40) * 1_000_000
    found = neighbours(settings, [(device, labelled), ("nobody", labelled)], 3)
    assert set(found) == {(device, labelled)}
    around = found[device, labelled]
    assert ((around.window_us - labelled) // 10_000_000).tolist() == [-3, -2, -1, 1, 2, 3]
    assert around.whole.all()
    expected = windows_of(made.readings.slice(0, 900), settings.windows)
    whole = features(assemble(expected.window_start_us, expected.panes, settings.windows), settings.windows)
    place = {int(us): k for k, us in enumerate(expected.window_start_us)}
    assert np.allclose(
        around.features,
        whole[[place[int(us)] for us in around.window_us]],
        rtol=1e-4,
        atol=1e-4,
        equal_nan=True,
    )
    assert neighbours(replace_archive(settings, tmp_path / "none"), [(device, labelled)], 3) == {}


def replace_archive(settings: Settings, folder: Path) -> Settings:
    archive = settings.archive.model_copy(update={"folder": str(folder)})
    return settings.model_copy(update={"archive": archive})
