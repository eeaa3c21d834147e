"""Withdrawal, export and erasure of one person, beside others whose data stay."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from prediction_rows import EPOCH_US, make_prediction_rows
from queued import LABELS, make_item

from activitymodule.errors import (
    DataError,
    ErasureUnfinishedError,
    LockedError,
    NotFoundError,
    WornByOtherError,
)
from activitymodule.lake.archive import archive_path
from activitymodule.lake.snapshots import read_snapshot, write_snapshot
from activitymodule.learning.gold import GoldWindows
from activitymodule.learning.training_set import training_set
from activitymodule.models.dataset import TrainingWindows
from activitymodule.models.energy import PersonColumns
from activitymodule.registry.lineage import write_lineage
from activitymodule.registry.versions import register
from activitymodule.settings import Settings
from activitymodule.store import participants, people
from activitymodule.store.answers import answer
from activitymodule.store.connection import session
from activitymodule.store.dead_letters import DeadLetters, write_dead_letters
from activitymodule.store.leases import lease_these
from activitymodule.store.locks import DAILY, SessionLock
from activitymodule.store.models import record_model_version
from activitymodule.store.participants import Details, Wear
from activitymodule.store.predictions import write_predictions
from activitymodule.store.promotions import SnapshotRow, put_snapshot
from activitymodule.store.queries import fetch_all, fetch_value
from activitymodule.store.queue import put
from activitymodule.store.spans import add_span
from activitymodule.windows.catalogue import FEATURE_NAMES
from activitymodule.workflows.people.erasing import erase
from activitymodule.workflows.people.exporting import export
from activitymodule.workflows.people.importing import import_csv
from activitymodule.workflows.people.withdrawing import withdraw

pytestmark = pytest.mark.integration

HANDED_OVER = datetime.fromtimestamp(EPOCH_US / 1e6 + 20, UTC)


def message(device: str, *seconds: float) -> bytes:
    made = [
        {"device_id": device, "stamp": int(EPOCH_US / 1000 + 1000 * at), "user_acceleration_x": 0.5}
        for at in seconds
    ]
    return json.dumps(made).encode()


def a_snapshot(settings: Settings, folder: Path) -> str:
    """A training set with a label of watch-0, and a model that was trained on it."""
    n = 8
    base = TrainingWindows(
        features=np.zeros((n, len(FEATURE_NAMES)), np.float32),
        activity=np.full(n, "walking"),
        person=np.array([f"p{k}" for k in range(n)]),
        run=np.arange(n),
        kcal_per_min=np.full(n, np.nan, np.float32),
        people=PersonColumns.unknown(n),
    )
    gold = GoldWindows(
        device_id=np.array(["watch-0", "watch-5"]),
        person=np.array(["anna", "watch-5"]),
        window_us=np.array([0, 0]),
        label=np.full(2, "walking"),
        stratum=np.full(2, "doubt"),
        propensity=np.ones(2),
        features=np.zeros((2, len(FEATURE_NAMES)), np.float32),
    )
    stored = write_snapshot(settings, training_set(base, gold))
    content = b"stands for a model"
    folder.mkdir()
    (folder / "model.skops").write_bytes(content)
    (folder / "metrics.json").write_text("{}")
    data = {"source": "a test", "snapshot": stored.snapshot_id, "base": {"sha256": base.sha256()}}
    write_lineage(folder, data=data, config={}, model_sha256=hashlib.sha256(content).hexdigest())
    register(settings, settings.registry.classifier, folder, {})
    with session(settings) as connection:
        row = SnapshotRow(stored.snapshot_id, "base", 10, 2, 9, stored.place, {})
        put_snapshot(connection, row)
    return stored.snapshot_id


@pytest.fixture
def settings(fresh_settings: Settings) -> Settings:
    """anna wears watch-0, and watch-1 from HANDED_OVER on, bo before; everything is stored of them and of watch-2."""
    with session(fresh_settings) as connection:
        record_model_version(connection, name="m", version="1", labels=LABELS, feature_version="1")
        participants.add(connection, "anna", Details(weight_kg=60, zone="Europe/Berlin"))
        participants.add(connection, "bo", Details(weight_kg=80))
        participants.assign(connection, Wear("anna", "watch-0", None, None))
        participants.assign(connection, Wear("bo", "watch-1", None, HANDED_OVER))
        participants.assign(connection, Wear("anna", "watch-1", HANDED_OVER, None))
        write_predictions(connection, make_prediction_rows(3, 4, labels=LABELS, unscored=0))
        put(connection, [make_item(number) for number in range(6)])
        for number in fetch_all(connection, "SELECT item_id FROM queue_items ORDER BY window_start LIMIT 2"):
            lease_these(connection, [number[0]], "cleo", 5)
            answer(connection, number[0], "cleo", "label", "walking", minutes=5)
        for device in ("watch-0", "watch-2"):
            end = HANDED_OVER.replace(minute=HANDED_OVER.minute + 1)
            add_span(connection, device, HANDED_OVER, end, "sitting", annotator="cleo", origin="console")
        letters = DeadLetters(
            topic="t", partition=[0] * 3, offset=[0, 1, 2], item=[-1] * 3,
            device_id=["watch-0", "watch-2", None], reason=["not_json"] * 3, detail=[None] * 3,
            payload=[b"{", b"[" + message("watch-2", 1)[1:-1] + b"," + message("watch-0", 1)[1:], b"{ watch-5"],
            kafka_at_us=[EPOCH_US] * 3,
        )  # fmt: skip
        write_dead_letters(connection, letters)
    folder = Path(archive_path(fresh_settings)) / "date=2026-09-21"
    folder.mkdir(parents=True)
    values = [message("watch-0", 1, 2), message("watch-1", 19, 21), message("watch-2", 1)]
    table = pa.table(
        {
            "key": pa.array([b"watch-0", b"watch-1", b"watch-2"], pa.binary()),
            "value": pa.array(values, pa.binary()),
            "timestamp": pa.array([EPOCH_US + 60_000_000] * 3, pa.timestamp("us", "UTC")),
        }
    )
    pq.write_table(table, folder / "messages-0-0-3-x.parquet")
    return fresh_settings


def test_an_export_has_what_is_theirs(settings: Settings, tmp_path: Path) -> None:
    done = export(settings, "anna", tmp_path / "anna.zip")
    assert (done.readings, done.predictions, done.labels) == (3, 6, 2)
    with zipfile.ZipFile(tmp_path / "anna.zip") as made:
        assert sorted(made.namelist()) == sorted(
            [
                "README.txt",
                "participant.json",
                "readings.parquet",
                "predictions.csv",
                "labels.csv",
                "days.csv",
            ]
        )
        readings = pq.read_table(io.BytesIO(made.read("readings.parquet")))
        assert readings.column("device_id").to_pylist() == ["watch-0", "watch-0", "watch-1"]
        predictions = pa.csv.read_csv(io.BytesIO(made.read("predictions.csv")))
        assert predictions.column("device_id").to_pylist() == ["watch-0"] * 4 + ["watch-1"] * 2
        assert b"cleo" not in made.read("labels.csv")
        assert json.loads(made.read("participant.json"))["zone"] == "Europe/Berlin"
    with pytest.raises(NotFoundError):
        export(settings, "nobody", tmp_path / "nobody.zip")
    assert [one.name for one in tmp_path.glob("*.zip")] == ["anna.zip"]


def test_after_a_withdrawal_only_what_was_there_stays(settings: Settings) -> None:
    done = withdraw(settings, "anna")
    assert done.taken_back == 0
    with session(settings) as connection:
        waiting = "SELECT device_id FROM queue_items WHERE closed_because IS DISTINCT FROM 'withdrawn'"
        # answered, or of before the hand-over
        assert sorted(row[0] for row in fetch_all(connection, waiting)) == ["watch-0", "watch-1"]
        # what a batch that was going on wrote meanwhile
        write_predictions(connection, make_prediction_rows(3, 1, first=4, labels=LABELS, unscored=0))
    assert withdraw(settings, "anna").taken_back == 2
    with session(settings) as connection:
        rows = fetch_all(connection, "SELECT device_id, count(*) FROM predictions GROUP BY 1 ORDER BY 1")
        assert rows == [("watch-0", 4), ("watch-1", 4), ("watch-2", 5)]


def test_an_erasure_goes_on_after_a_kill_and_leaves_nothing(settings: Settings, tmp_path: Path) -> None:
    snapshot = a_snapshot(settings, tmp_path / "model")
    stray = Path(settings.lake.folder) / "notes.txt"
    stray.write_text("anna runs on Mondays")
    (archived,) = Path(archive_path(settings)).rglob("messages-*.parquet")
    messages = archived.read_bytes()

    def killed(step: str) -> None:
        if step == "table predictions":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        erase(settings, "anna", by_whom="a test", step=killed)
    with pytest.raises(ErasureUnfinishedError, match=r"notes\.txt"):
        erase(settings, "anna", by_whom="a test")
    stray.unlink()
    # a build of daily records that began before would write hers afterwards
    building = SessionLock(settings, DAILY, "days", who="x", held="{holder}", patience_seconds=0)
    with building, pytest.raises(LockedError):
        erase(settings, "anna", by_whom="a test", patience_seconds=0)

    def archives_late(step: str) -> None:
        if step == "searching what is left":
            archived.with_name("messages-0-3-6-y.parquet").write_bytes(messages)

    report = erase(settings, "anna", by_whom="a test", step=archives_late)
    assert report.resumed
    assert report.removed == {
        "lake/archive": 4,
        "lake/training": 1,
        "snapshots marked as no longer reproducible": 1,
        "store: annotations": 1,
        "store: dead_letters": 2,
        "store: participant_devices": 2,
        "store: participants": 1,
        "store: predictions": 6,
        "store: queue_items": 5,
        "store: spans": 1,
    }
    assert report.models == (f"{settings.registry.classifier} 1",)
    with pytest.raises(DataError, match=f"erasure {report.erasure_id}"):
        read_snapshot(settings, snapshot)
    with session(settings) as connection:
        left = fetch_all(connection, "SELECT device_id, count(*) FROM predictions GROUP BY 1 ORDER BY 1")
        assert left == [("watch-1", 2), ("watch-2", 4)]
        assert fetch_value(connection, "SELECT changed_by FROM snapshots") == report.erasure_id
        assert fetch_value(connection, "SELECT participant FROM erasures") is None
        # Kafka may still have messages of hers
        excluded = participants.excluded(connection)
        assert excluded.covers("watch-0", 0)
        assert not excluded.covers("watch-1", EPOCH_US)
        assert excluded.covers("watch-1", EPOCH_US + 60_000_000)
        wearers = pa.table({"device_id": ["watch-0", "watch-3"], "age_years": [30.0, 40.0]})
        assert people.upsert_people(connection, wearers) == 1
        # the watch goes on with somebody else
        participants.assign(connection, Wear("bo", "watch-0", HANDED_OVER, None))
        assert not participants.excluded(connection).covers("watch-0", EPOCH_US + 60_000_000)
        with pytest.raises(NotFoundError):
            participants.required(connection, "anna")


def test_a_file_of_participants_is_taken_whole_and_twice_changes_nothing(
    fresh_settings: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "people.csv"
    file.write_text(
        "participant,device_id,worn_from,worn_to,age_years,zone,study\n"
        "anna,w,,2026-03-29T12:00,31,Europe/Berlin,spring\n"
        "bo,w,2026-03-29T12:00+02:00,,40,,spring\n"
        "bo,x,,,,,\n"
    )
    first = import_csv(fresh_settings, file)
    assert (first.added, first.assigned, first.as_they_were) == (2, 3, 0)
    again = import_csv(fresh_settings, file)
    assert (again.added, again.changed, again.assigned, again.as_they_were) == (0, 0, 0, 3)
    file.write_text("participant,device_id,zone\ncleo,y,\nanna,x,\n")
    with pytest.raises(WornByOtherError, match="line 3"):
        import_csv(fresh_settings, file)
    with session(fresh_settings) as connection:
        assert [one.participant for one in participants.list_participants(connection)] == ["anna", "bo"]
