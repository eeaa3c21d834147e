"""The whole report on daily records of the lake: the same bytes again, nothing where nothing has changed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from day_records import day_records
from own_settings import replaced

from activitymodule.errors import NotEnoughDataError
from activitymodule.lake import daily, daily_writing, history
from activitymodule.settings import Settings, build, load, resolve, reveal
from activitymodule.synthesis.daily.records import HistoryRun, people_table
from activitymodule.workflows.reports import run

pytestmark = pytest.mark.integration


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    tree = reveal(load({}))
    tree["lake"]["folder"] = str(tmp_path / "lake")
    tree["reports"] |= {"folder": str(tmp_path / "reports"), "source": "devices"}
    return build(tree)


def digests(settings: Settings) -> dict[str, str]:
    folder = resolve(settings.reports.folder)
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_same_days_give_the_same_bytes(settings: Settings) -> None:
    with pytest.raises(NotEnoughDataError, match="activity days build"):
        run.build(settings)
    daily_writing.replace(settings, day_records(people=40, days=80, source="garmin", stopping=0.02))
    made = run.build(settings)
    assert made.made
    assert made.skipped == {}
    first = digests(settings)
    assert {"index.html", "metrics.json", "metrics.csv", "dashboard/days.parquet", "figures/days.png"} <= set(
        first
    )
    metrics = json.loads((resolve(settings.reports.folder) / "metrics.json").read_text())
    assert {one["model"] for one in metrics} == {
        "personas",
        "workout type",
        "workout calories",
        "wear retention",
    }
    assert {one["data"] for one in metrics} == {"recorded"}
    again = run.build(settings)
    assert (again.made, again.records, again.metrics) == (False, made.records, made.metrics)
    assert run.build(settings, force=True).made
    assert digests(settings) == first


def test_a_first_day_gives_a_report_that_says_what_is_not_trained(settings: Settings) -> None:
    daily_writing.replace(settings, day_records(people=3, days=1))
    made = run.build(settings)
    assert set(made.skipped) == {"personas", "workouts", "retention"}
    folder = resolve(settings.reports.folder)
    assert json.loads((folder / "metrics.json").read_text()) == []
    assert json.loads((folder / "features_summary.json").read_text())["not_trained"] == made.skipped
    assert "No model was trained." in (folder / "index.html").read_text()


def test_a_synthetic_history_of_other_people_is_not_reported_on(settings: Settings) -> None:
    wanted = replaced(settings, reports={"source": "synthetic", "people": 10, "days": 40, "seed": 3})
    made = HistoryRun(10, 40, 3, run.FIRST_DAY)

    def there(config: Settings) -> bool:
        return run._is_of(config, daily.read(config, folder=daily.HISTORY))

    assert not there(wanted)
    records = day_records(people=10, days=40, first=run.FIRST_DAY)
    daily_writing.replace(settings, records, folder=daily.HISTORY)
    assert not there(wanted)
    history.write(settings, history.PEOPLE, people_table(made))
    assert there(wanted)
    for other in ({"people": 11}, {"days": 41}, {"seed": 4}):
        assert not there(replaced(wanted, reports=other))
