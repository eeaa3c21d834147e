"""The generating job against a real broker: what arrives is what the ledger says, whatever made it."""

from __future__ import annotations

import json
import time
from typing import Any

import pyarrow as pa
import pytest
from ledger import messages_sent

from activitymodule.errors import ConfigError, ServiceUnavailableError
from activitymodule.kafka.clients import consumer, topic_ends
from activitymodule.settings import Settings, build
from activitymodule.streaming import generate as job
from activitymodule.synthesis.faults import Run, ledger
from activitymodule.telemetry.decoding import Decoded, decode_messages

START = 1_767_254_407  # 2026-01-01 08:00:07 UTC: in the middle of ten seconds


def with_fleet(settings: Settings, **keys: Any) -> Settings:
    fleet = build({"fleet": {**settings.fleet.model_dump(), **keys}}).fleet
    return settings.model_copy(update={"fleet": fleet})


def received(settings: Settings, topic: str) -> list[tuple[str, bytes]]:
    """(key, value) of all messages of a topic."""
    from kafka import TopicPartition

    ends = topic_ends(settings, topic) or {}
    total = sum(last - first for first, last in ends.values())
    found: list[tuple[str, bytes]] = []
    with consumer(settings, auto_offset_reset="earliest") as client:
        client.assign([TopicPartition(topic, number) for number in ends])
        while len(found) < total:
            for records in client.poll(timeout_ms=1000).values():
                found += [(record.key.decode(), record.value) for record in records]
    return found


def decoded(settings: Settings, messages: list[tuple[str, bytes]]) -> Decoded:
    values = pa.array([value for _, value in messages], pa.binary())
    # from days later, so that a clock that is ahead is no reason to refuse
    return decode_messages(values, now_us=(START + 3 * 86_400) * 1_000_000, limits=settings.telemetry)


@pytest.mark.integration
def test_what_arrives_is_what_the_ledger_says(fresh_settings: Settings) -> None:
    settings = with_fleet(
        fresh_settings,
        devices=7,
        faults={"gap": 0.5, "late": 0.6, "duplicate": 0.1, "clock_skew": 0.3, "malformed": 0.1, "flat": 0.3},
    )
    run = job.fleet_run(settings, start=START, seconds=330)
    expected = ledger(run)

    sent = job.bounded(settings, run, piece_seconds=120)

    arrived = received(settings, settings.kafka.topic)
    assert len(arrived) == expected.messages == sent.messages
    result = decoded(settings, arrived)
    frame = result.readings.select(["device_id", "stamp"]).to_pandas()
    distinct = frame.drop_duplicates()
    assert len(distinct) == expected.readings_good
    assert len(frame) - len(distinct) == expected.readings_duplicate
    assert result.dead.to_pandas()["reason"].value_counts().to_dict() == expected.malformed
    # a message's key is its device
    keys = [arrived[i][0] for i in result.readings.column("message").to_pylist()]
    assert keys == result.readings.column("device_id").to_pylist()


@pytest.mark.integration
def test_the_truth_covers_every_second_once(fresh_settings: Settings) -> None:
    settings = with_fleet(fresh_settings, devices=5)
    run = job.fleet_run(settings, start=START, seconds=185)
    sent = job.bounded(settings, run, piece_seconds=60)

    truths = [json.loads(value) for _, value in received(settings, settings.kafka.truth_topic)]
    assert len(truths) == sent.truths
    assert {t["source"] for t in truths} == {"fleet"}
    for device in range(1, 6):
        own = sorted((t["start"], t["end"]) for t in truths if t["device_id"] == f"watch-{device:05d}")
        assert own[0][0] == "2026-01-01T08:00:07Z"
        assert own[-1][1] == "2026-01-01T08:03:12Z"
        assert [end for _, end in own[:-1]] == [start for start, _ in own[1:]]


@pytest.mark.integration
def test_same_seed_same_messages_whatever_makes_them(fresh_settings: Settings, stack: Any) -> None:
    """Engine, partitions, pieces, batch or stream: the very same messages."""
    from activitymodule.kafka import topics

    seen = []
    for number, (engine, partitions, piece, speed) in enumerate(
        [("dbldatagen", 2, 300, 0), ("spark", 3, 45, 0), ("dbldatagen", 1, 300, 90), ("spark", 2, 300, 90)]
    ):
        settings = with_fleet(
            fresh_settings, devices=4, engine=engine, partitions=partitions, speed=speed, seed=9
        )
        kafka = settings.kafka.model_copy(
            update={
                "topic": f"{settings.kafka.topic}-{number}",
                "truth_topic": f"{settings.kafka.truth_topic}-{number}",
            }
        )
        settings = settings.model_copy(update={"kafka": kafka})
        topics.create(settings)
        run = job.fleet_run(settings, start=START, seconds=90)
        sent = job.live(settings, run) if speed else job.bounded(settings, run, piece_seconds=piece)
        assert sent.readings == 4 * 90 * 10
        seen.append(
            (
                sorted(received(settings, settings.kafka.topic)),
                sorted(received(settings, settings.kafka.truth_topic)),
            )
        )
        topics.delete(settings, [kafka.topic, kafka.truth_topic])
    assert all(one == seen[0] for one in seen[1:])


@pytest.mark.integration
def test_a_live_fleet_keeps_the_clock_and_repeats_nothing(fresh_settings: Settings) -> None:
    settings = with_fleet(fresh_settings, devices=3, speed=1)

    for _ in range(2):
        before = messages_sent(settings)
        run = job.fleet_run(settings)
        assert run.last_second is None
        job.live(settings, run, stopped=lambda before=before: messages_sent(settings) >= before + 6)

    arrived = received(settings, settings.kafka.topic)
    now_us = int(time.time() * 1_000_000)
    values = pa.array([value for _, value in arrived], pa.binary())
    result = decode_messages(values, now_us=now_us, limits=settings.telemetry)
    assert not result.dead.num_rows
    frame = result.readings.select(["device_id", "stamp"]).to_pandas()
    assert len(frame) > 60
    assert not frame.duplicated().any()
    assert frame["stamp"].max().timestamp() * 1_000_000 <= now_us


def test_without_a_broker_it_says_so_at_once(tmp_path: Any) -> None:
    settings = build({"kafka": {"bootstrap_servers": "127.0.0.1:9"}, "fleet": {"speed": 0}})
    run = job.fleet_run(settings, seconds=10)
    with pytest.raises(ServiceUnavailableError, match="activity up"):
        job.bounded(settings, run)
    with pytest.raises(ServiceUnavailableError, match="activity up"):
        job.live(settings, run)


@pytest.mark.parametrize(
    ("speed", "given", "words"),
    [
        (0, {}, "never ends"),
        (1, {"seconds": 0}, "at least one second"),
        (1, {"seconds": 5, "messages": 5}, "either"),
        (1, {"start": 2_000}, "ahead of the clock"),
        (0, {"start": 900, "seconds": 500}, "ahead of the clock"),
    ],
)
def test_runs_that_cannot_be_are_refused(speed: float, given: dict[str, int], words: str) -> None:
    settings = build({"fleet": {"speed": speed}})
    with pytest.raises(ConfigError, match=words):
        job.fleet_run(settings, now=1000.0, **given)


def test_a_run_starts_where_its_stamps_will_not_be_ahead() -> None:
    now = 1_767_254_400.5
    assert job.fleet_run(build({}), now=now).first_second == 1_767_254_400
    quick = build({"fleet": {"speed": 10}})
    assert job.fleet_run(quick, seconds=600, now=now).first_second == 1_767_254_400 - 600
    assert job.fleet_run(quick, now=now).first_second == 1_767_254_400 - 86_400
    ends = job.fleet_run(build({"fleet": {"devices": 3, "readings_per_message": 4}}), messages=20, now=now)
    assert ends.last_second == ends.first_second + 2  # 9 messages a second


@pytest.mark.parametrize("total", [None, 100, 5000])
def test_a_quick_run_goes_on_in_real_time_where_it_has_caught_up(total: int | None) -> None:
    start, now = 1_000_000, 1_000_900.0
    run = Run(1, 4, start, None if total is None else start + total - 1)
    streams = job.phases(run, 10.0, now)
    assert streams[0].speed == 10.0
    rows = [stream.rows for stream in streams]
    if total == 100:
        assert rows == [400]
    else:
        # 10 t = 900 + t: after 100 s of ours and 1,000 s of theirs
        assert streams[0].rows == 4000
        assert (streams[1].speed, streams[1].first_second) == (1.0, start + 1000)
        assert streams[1].rows == (None if total is None else 4 * 4000)
