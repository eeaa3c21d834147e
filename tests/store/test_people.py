"""Wearers of the watches."""

from __future__ import annotations

import pyarrow as pa
import pytest

from activitymodule.errors import DataError
from activitymodule.store.connection import session
from activitymodule.store.people import people_for, upsert_people

integration = pytest.mark.integration


@integration
def test_people_are_stored_once_and_updated(connection):
    table = pa.table(
        {
            "device_id": ["b", "a", "a"],
            "age_years": pa.array([40.0, 1.0, float("nan")], pa.float32()),
            "sex": ["female", "male", None],
            "weight_kg": pa.array([70.5, 80.0, 81.0], pa.float32()),
        }
    )
    assert upsert_people(connection, table) == 2
    connection.commit()
    assert upsert_people(connection, table) == 0
    known = people_for(connection, ["a", "b", "c"])
    assert known == {"a": (None, None, None, 81.0, None), "b": (40.0, "female", None, 70.5, None)}
    connection.commit()
    assert (
        upsert_people(connection, table.set_column(1, "age_years", pa.array([41.0, 1, 2], pa.float32()))) == 2
    )
    assert people_for(connection, ["b"])["b"].age_years == 41.0


@integration
def test_invalid_people_are_refused(fresh_settings):
    bad = pa.table({"device_id": ["a"], "age_years": [999.0]})
    with pytest.raises(DataError, match="age_years"), session(fresh_settings) as connection:
        upsert_people(connection, bad)
    with pytest.raises(DataError, match="device_id"):
        upsert_people(None, pa.table({"age_years": [1.0]}))
