"""`activity people` on a real store."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from activitymodule.errors import ConfigError, RefusedError, WornByOtherError
from activitymodule.jobs import people


@pytest.mark.integration
def test_people(run, tmp_path: Path):
    assert "no participants yet" in run(people, "list")
    added = json.loads(run(people, "add", "anna", "--age", "41", "--zone", "Europe/Berlin", "--json"))
    assert (added["details"]["age_years"], added["details"]["zone"]) == (41, "Europe/Berlin")
    run(people, "add", "bo", "--study", "spring", "--consented", "2026-11-20")
    run(people, "edit", "anna", "--weight", "61", "--forget", "age_years")
    with pytest.raises(ConfigError):
        run(people, "edit", "anna")
    with pytest.raises(ConfigError):
        run(people, "add", "cleo", "--consented", "yesterday")
    assert "from its first reading" in run(people, "assign", "anna", "w", "--from", "ever")
    with pytest.raises(WornByOtherError):
        run(people, "assign", "bo", "w", "--from", "2026-11-20")
    # midnight in Berlin, in the person's own time
    worn = json.loads(run(people, "assign", "anna", "w", "--to", "2026-11-20", "--json"))
    assert worn[0]["worn_to"].startswith("2026-11-19T23:00")
    run(people, "assign", "bo", "w", "--from", "2026-11-20")
    with pytest.raises(RefusedError):
        run(people, "assign", "bo", "w", "--handover")
    listed = {one["participant"]: one for one in json.loads(run(people, "list", "--json"))}
    assert listed["anna"]["details"]["weight_kg"] == 61
    assert listed["anna"]["details"]["age_years"] is None
    assert listed["bo"]["devices"] == ["w"]
    assert "0 readings" in run(people, "export", "bo", "--out", str(tmp_path / "bo.zip"))
    assert "README.txt" in zipfile.ZipFile(tmp_path / "bo.zip").namelist()
    assert "has withdrawn" in run(people, "withdraw", "bo")
    with pytest.raises(RefusedError):
        run(people, "assign", "bo", "x")
    assert "participants" in run(people, "erase", "bo", "--yes")
    assert [one["participant"] for one in json.loads(run(people, "list", "--json"))] == ["anna"]
