"""Device models of watches: a person's word stays, messages tell news, and a cache follows."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pyarrow as pa
import pytest

from activitymodule.errors import DataError, NotFoundError
from activitymodule.store.connection import transact
from activitymodule.store.devices import (
    ModelCache,
    Setting,
    add_named,
    device_of,
    list_devices,
    models_for,
    set_devices,
    unset_device,
)
from activitymodule.streaming import worker
from activitymodule.windows.frame import KnownModel
from activitymodule.windows.packing import RECORD

NOW_US = 1_790_000_000_000_000


@pytest.mark.integration
def test_a_persons_word_counts_more_than_that_of_messages(connection):
    add_named(connection, {"b": "apple-watch", "a": "empatica-e4"})
    assert set_devices(connection, [Setting("a", "Wear OS"), Setting("c", "Band 7", "left")], "command") == 2
    add_named(connection, {"a": "empatica-e4", "b": "empatica-e4"})
    assert models_for(connection, ["a", "b", "c", "d"]) == {
        "a": KnownModel("wear-os", True),
        "b": KnownModel("empatica-e4", False),
        "c": KnownModel("Band 7", True),
    }
    set_devices(connection, [Setting("c", "Band 8")], "rest")  # the wrist stays as it was
    shown = [(one.device_id, one.device_model, one.wrist, one.source) for one in list_devices(connection)]
    assert shown == [
        ("a", "wear-os", None, "command"),
        ("b", "empatica-e4", None, "message"),
        ("c", "Band 8", "left", "rest"),
    ]
    assert [one.device_id for one in list_devices(connection, after="a", limit=1)] == ["b"]

    unset_device(connection, "a")
    assert device_of(connection, "a").device_model is None
    with pytest.raises(NotFoundError):
        unset_device(connection, "a")
    add_named(connection, {"a": "empatica-e4"})  # from then on messages decide
    assert models_for(connection, ["a"]) == {"a": KnownModel("empatica-e4", False)}


@pytest.mark.integration
def test_a_cache_follows_what_is_set_named_and_unset(fresh_settings):
    run = partial(transact, fresh_settings)
    cache = ModelCache(seconds=0)
    assert cache.models(run) == {}
    run(lambda connection: set_devices(connection, [Setting("a", "axivity")], "console"))
    assert cache.models(run) == {"a": KnownModel("axivity", True)}
    cache.learn({"a": "empatica-e4", "b": "empatica-e4"}, run)
    both = {"a": KnownModel("axivity", True), "b": KnownModel("empatica-e4", False)}
    assert cache.models(run) == both == ModelCache(seconds=0).models(run)
    run(lambda connection: unset_device(connection, "a"))
    assert cache.models(run) == {"b": KnownModel("empatica-e4", False)}


@pytest.mark.integration
def test_the_stream_turns_by_what_is_set_and_records_what_messages_name(fresh_settings):
    """Three watches of an E4: one by the table, one by its messages, and one of which nothing is known."""
    transact(fresh_settings, lambda connection: set_devices(connection, [Setting("set", "E4")], "command"))
    reading = {"stamp": NOW_US // 1000, "pitch": 0, "roll": 0}
    reading |= {f"user_acceleration_{axis}": value for axis, value in zip("xyz", (1, 2, 0), strict=True)}
    rows = [{"device_id": "set"}, {"device_id": "says", "device_model": "Empatica E4"}, {"device_id": "none"}]
    values = [json.dumps(reading | row).encode() + b"\n" for row in rows]
    batch = pa.RecordBatch.from_pydict(
        {
            "value": pa.array(values, pa.binary()),
            "partition": pa.array([0] * 3, pa.int32()),
            "offset": pa.array(range(3), pa.int64()),
            "timestamp": pa.array([NOW_US] * 3, pa.timestamp("us", "UTC")),
            "timestampType": pa.array([1] * 3, pa.int32()),
        }
    )
    worker._process.devices = ModelCache(seconds=0)  # that of another test's store would be kept
    for _ in range(2):  # a task may run twice
        (panes,) = worker.decode(iter([batch]), fresh_settings, "topic-id")
        packed = dict(
            zip(panes.column("device_id").to_pylist(), panes.column("packed").to_pylist(), strict=True)
        )
        x = {name: np.frombuffer(pane, RECORD)["values"][0, 0] for name, pane in packed.items()}
        assert x == {"set": -2, "says": -2, "none": 1}
    known = transact(fresh_settings, lambda connection: models_for(connection, ["set", "says", "none"]))
    assert known == {"set": KnownModel("empatica-e4", True), "says": KnownModel("empatica-e4", False)}


@pytest.mark.parametrize(
    "wrong",
    [("no id", "e4", None), ("a", "", None), ("a", "x" * 65, None), ("a", "a\nb", None), ("a", "e4", "both")],
)
def test_what_cannot_be_stored_is_refused(wrong):
    with pytest.raises(DataError):
        Setting(*wrong)
