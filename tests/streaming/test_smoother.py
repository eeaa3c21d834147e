"""Batches whose end the store refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from refusals import refuse, relax

from activitymodule.errors import StoreUnavailableError
from activitymodule.settings import Settings
from activitymodule.store.batches import begin_batch
from activitymodule.store.connection import Connection, session
from activitymodule.store.queries import execute, fetch_all
from activitymodule.streaming.smoother import Smoother

ENDS = "UPDATE ON batches"


def test_a_batch_whose_end_failed_is_finished_later(fresh_settings: Settings) -> None:
    smoother = Smoother(fresh_settings)
    began = datetime.now(UTC)
    for number in range(2):
        with session(fresh_settings) as connection:
            begin_batch(
                connection,
                query_id="q",
                batch_id=number,
                topic="t",
                topic_id=None,
                offsets={0: (number, number + 1)},
                model_version=None,
                energy_version=None,
            )

    def queue(connection: Connection) -> None:
        execute(connection, "INSERT INTO participants (participant, age_years) VALUES ('queued', 40)")

    refuse(fresh_settings, ENDS, "53100")
    smoother.finish(query_id="q", batch_id=0, windows=0, since=began, also=queue)
    with pytest.raises(StoreUnavailableError):
        smoother.finish(query_id="q", batch_id=1, windows=0, since=began)
    with pytest.raises(StoreUnavailableError):
        smoother.resume()
    relax(fresh_settings, ENDS)
    smoother.resume()
    smoother.finish(query_id="q", batch_id=1, windows=0, since=began)
    smoother.wait()
    assert smoother.finished == 2
    with session(fresh_settings) as connection:
        assert fetch_all(connection, "SELECT batch_id FROM batches WHERE finished_at IS NULL") == []
        assert fetch_all(connection, "SELECT participant FROM participants") == [("queued",)], "once"
    smoother.close()
