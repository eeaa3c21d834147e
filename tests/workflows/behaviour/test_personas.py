"""Personas as versions of the registry like every other model, and in the store."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from day_records import day_records

from activitymodule.errors import ModelError, NotEnoughDataError
from activitymodule.lake import daily_writing
from activitymodule.models.kinds import PERSONAS
from activitymodule.settings import Settings
from activitymodule.store.connection import session
from activitymodule.store.queries import execute
from activitymodule.workflows import model_versions, promotion
from activitymodule.workflows.behaviour import personas
from activitymodule.workflows.behaviour.requests import DayTrainingRequest


def test_personas_from_training_to_the_store(fresh_settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        personas.assign(fresh_settings)
    days = day_records(40, 42, seed=8)
    path = tmp_path / "days.parquet"
    pq.write_table(days, path)

    first = personas.train(fresh_settings, DayTrainingRequest(days=str(path), clusters="4"))
    assert (first.kept.version, first.kept.champion) == ("1", True)
    second = personas.train(fresh_settings, DayTrainingRequest(days=str(path), clusters="3", promote=True))
    assert (second.kept.version, second.kept.champion) == ("2", True)
    found = model_versions.details(fresh_settings, PERSONAS)
    assert found.version.version == "2"
    assert found.lineage["data"]["people"] == 40
    assert "synthetic_silhouette" in found.metrics
    assert "synthetic" in found.version.data
    assert promotion.roll_back(fresh_settings, PERSONAS, by_whom="test", why="").version == "1"
    mine = [row for row in model_versions.all_versions(fresh_settings) if row.name.endswith(PERSONAS)]
    assert [row.aliases for row in mine] == [(), ("champion",)]
    assert not model_versions.problems_of_serving(fresh_settings)

    with pytest.raises(NotEnoughDataError):
        personas.assign(fresh_settings)
    lived = days.set_column(
        days.schema.get_field_index("source"), "source", pa.array(["devices"] * len(days))
    )
    early = pc.less(lived["date"], pc.add(pc.min(lived["date"]), pa.scalar(timedelta(days=20))))
    some = lived.filter(pc.and_(early, pc.less(lived["participant"], "p0030")))
    daily_writing.replace(fresh_settings, some)
    with session(fresh_settings) as connection:
        insert = "INSERT INTO participants (participant, withdrawn_at) VALUES ('p0003', now())"
        execute(connection, insert, ())
    assert personas.assign(fresh_settings).people == 30
    daily_writing.replace(fresh_settings, lived)
    again = personas.assign(fresh_settings)
    # the withdrawn one is asked about each night and never written
    assert (again.model_version, again.people, again.new) == ("1", 40, 11)
    rows = personas.listed(fresh_settings)
    assert {row.participant for row in rows} == {*days["participant"].to_pylist()} - {"p0003"}
    assert {row.persona for row in rows} <= {one.name for one in first.report.personas}
    assert rows[0].until_date == pc.max(days["date"]).as_py()
