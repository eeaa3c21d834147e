"""The summary of the store, and its last minute."""

from __future__ import annotations

import pytest

from activitymodule.store.batches import finish_batch
from activitymodule.store.dead_letters import write_dead_letters
from activitymodule.store.devices import Setting, set_devices
from activitymodule.store.inspect import summarize, table_sizes
from activitymodule.store.live import LEAST_SECONDS, take_pulse
from activitymodule.store.predictions import write_predictions

integration = pytest.mark.integration


@integration
def test_summary_and_pulse(connection, make_rows, make_letters, begin):
    assert take_pulse(connection, "t").watches == {}
    assert summarize(connection).predictions == 0
    begin(3, {0: (0, 10)})
    finish_batch(connection, query_id="q", batch_id=3, windows=20)
    write_predictions(connection, make_rows(4, 5))
    write_dead_letters(connection, make_letters())
    watches = sorted(set(make_rows(4, 5).device_id.to_pylist()))
    set_devices(
        connection, [Setting(watches[0], "Fitbit Sense"), Setting(watches[1], "of my own making")], "command"
    )
    connection.commit()
    pulse = take_pulse(connection, "t", recent=6)
    assert sum(pulse.watches.values()) == 4
    # one has a profile; another has a model that none describes
    assert pulse.without_profile == 3
    assert {one.device_id for one in pulse.recent if one.has_profile} <= {watches[0]}
    assert (pulse.windows, pulse.readings, pulse.dead_letters_last_minute) == (20, 2000, 3)
    # a moment is no minute: what came in it says nothing of how much comes
    assert pulse.seconds < LEAST_SECONDS
    assert pulse.windows_per_second is pulse.readings_per_second is None
    with connection.cursor() as cursor:
        cursor.execute("UPDATE predictions SET processed_at = now() - interval '20 seconds'")
    connection.commit()
    later = take_pulse(connection, "t")
    assert later.windows_per_second == pytest.approx(1, abs=0.2)
    assert later.readings_per_second == pytest.approx(100, abs=20)
    assert (pulse.model_version, pulse.batch_id, pulse.offsets) == ("1", 3, {0: 10})
    assert pulse.labels == make_rows(1, 1).labels
    assert len(pulse.recent) == 6
    found = summarize(connection)
    assert (found.predictions, found.watches, found.dead_letters) == (20, 4, 3)
    assert sum(found.activities.values()) == found.with_activity
    sizes = {table.name: table for table in table_sizes(connection)}
    assert {
        "batches",
        "dead_letters",
        "participants",
        "predictions",
        "queue_items",
        "annotations",
    } <= sizes.keys()
    assert "alembic_version" not in sizes
