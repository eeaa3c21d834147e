"""Nothing lost, nothing twice: the streaming job is killed under load and compared with a ledger of what was sent."""

from __future__ import annotations

import json
import random
import threading
import time
from typing import Any

import pytest
from ledger import Ledger, reading, until

from activitymodule.settings import Settings
from activitymodule.store.connection import connect
from activitymodule.streaming.broker import producer, topic_ends

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

DAY_MS = 86_400_000
MALFORMED = [b"{not json", b"", b"[]", b'"text"', b'{"stamp": 1}', b"\xff\xfe", b"null", b"[1, 2"]


class Load(threading.Thread):
    """Watches at 10 Hz in real time with everything that happens to telemetry on its way, noted in a ledger."""

    def __init__(
        self, settings: Settings, ledger: Ledger, devices: int, at_most_seconds: float = 600
    ) -> None:
        super().__init__(daemon=True)
        self.settings, self.ledger, self.devices, self.seconds = settings, ledger, devices, at_most_seconds
        self.enough = threading.Event()
        self.random = random.Random(7)
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            with producer(self.settings, linger_ms=5, retries=1000, delivery_timeout_ms=300_000) as client:
                self._send(client)
        except BaseException as error:
            self.error = error

    def finish(self) -> None:
        """No more of it; raises what went wrong in sending."""
        self.enough.set()
        self.join()
        if self.error is not None:
            raise self.error

    def _send(self, client: Any) -> None:
        topic, ledger, dice = self.settings.kafka.topic, self.ledger, self.random

        def send(device: str, value: Any) -> None:
            payload = value if isinstance(value, bytes) else json.dumps(value).encode()
            client.send(topic, payload, key=device.encode())

        held: list[int] = []
        begin = time.time()
        tick = 0
        while not self.enough.is_set() and time.time() - begin < self.seconds:
            stamp = round((begin + tick / 10) * 10) * 100
            for number in range(self.devices):
                device = f"watch-{number:03d}"
                if number == 0:
                    held.append(stamp)  # comes in bursts, out of order
                    continue
                send(device, reading(device, stamp, number))
                ledger.note(device, stamp)
                if dice.random() < 0.02:
                    send(device, reading(device, stamp, number))
                    ledger.note(device, stamp)
            if len(held) >= 70:
                dice.shuffle(held)
                send("watch-000", [reading("watch-000", s) for s in held])
                for s in held:
                    ledger.note("watch-000", s)
                held = []
            if tick % 20 == 0:
                send("watch-fast", reading("watch-fast", stamp + DAY_MS))
                ledger.note_dead()
            if tick % 25 == 0:
                send("x", dice.choice(MALFORMED))
                ledger.note_dead()
            if tick % 30 == 0:
                # an array with one bad item: the good ones still count
                good = [reading("watch-mixed", stamp + k) for k in (0, 50)]
                send("watch-mixed", [good[0], {"device_id": "watch-mixed", "stamp": "yesterday"}, good[1]])
                for k in (0, 50):
                    ledger.note("watch-mixed", stamp + k)
                ledger.note_dead()
            tick += 1
            time.sleep(max(0.0, begin + tick / 10 - time.time()))
        if held:
            send("watch-000", [reading("watch-000", s) for s in held])
            for s in held:
                ledger.note("watch-000", s)


def rows(settings: Settings, query: str, *values: Any) -> list[tuple]:
    connection = connect(settings)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(query, values)
            return cursor.fetchall()
    finally:
        connection.close()


def stored(settings: Settings) -> dict[tuple[str, int], tuple[int, int]]:
    return {
        (device, int(start)): (used, again)
        for device, start, used, again in rows(
            settings,
            "select device_id, extract(epoch from window_start), readings_used, duplicates from predictions",
        )
    }


def dead_items(settings: Settings) -> int:
    return rows(settings, "select count(*) from dead_letters")[0][0]


def everything_read(settings: Settings) -> bool:
    ends = topic_ends(settings, settings.kafka.topic) or {}
    done = rows(
        settings,
        "select key, max((value->>1)::bigint) from batches, jsonb_each(offsets) "
        "where finished_at is not null and topic = %s group by key",
        settings.kafka.topic,
    )
    read = {int(number): until_ for number, until_ in done}
    return all(read.get(number, first) >= last for number, (first, last) in ends.items())


def assert_ledger(settings: Settings, ledger: Ledger) -> None:
    expected, got = ledger.expected(), stored(settings)
    wrong = {key: (expected.get(key), got.get(key)) for key in expected.keys() | got.keys()}
    wrong = {key: pair for key, pair in wrong.items() if pair[0] != pair[1]}
    assert not wrong, f"{len(wrong)} of {len(expected)} windows differ, such as {list(wrong.items())[:5]}"
    assert dead_items(settings) == ledger.dead
    total = sum(used + again for used, again in got.values()) + dead_items(settings)
    assert total == ledger.items


def test_driver_killed_again_and_again(fresh_settings, champion, job):
    settings = fresh_settings.model_copy(
        update={"archive": fresh_settings.archive.model_copy(update={"interval_seconds": 5})}
    )
    ledger = Ledger()
    load = Load(settings, ledger, devices=20)
    load.start()
    dice = random.Random(3)
    for _ in range(3):
        scorer = job(settings, "score")
        seen = len(stored(settings))
        until(lambda seen=seen: len(stored(settings)) > seen, "new windows")
        time.sleep(dice.uniform(0.2, 3))  # anywhere in a batch
        scorer.kill()
    scorer = job(settings, "score")
    load.finish()
    until(lambda: everything_read(settings), "the job to read everything")

    # a watch syncs two hours late, past the watermark: dropped by the stream, found by the backfill
    late_start = (int(time.time()) - 7200) // 10 * 10 * 1000
    late = [late_start + 100 * k for k in range(300)]
    with producer(settings) as client:
        for k in range(0, 300, 50):
            batch = [reading("watch-late", s) for s in late[k : k + 50]]
            client.send(settings.kafka.topic, json.dumps(batch).encode(), key=b"watch-late")
    until(lambda: everything_read(settings), "the job to read the late readings")
    until(lambda: "later than the watermark" in scorer.output, "a word about the late readings", timeout=30)
    assert_ledger(settings, ledger)
    time.sleep(settings.archive.interval_seconds + 3)  # the archive's own interval
    assert scorer.interrupt() == 0

    for stamp in late:
        ledger.note("watch-late", stamp)
    filled = job(settings, "backfill", "--json")
    assert filled.wait(120) == 0, filled.output
    assert_ledger(settings, ledger)
    again = job(settings, "backfill", "--json")
    assert again.wait(120) == 0
    report = json.loads(again.output.strip().splitlines()[-1])
    assert report["windows_scored"] == 0
    full = rows(settings, "select count(*), count(activity) from predictions where coverage >= 0.9")[0]
    assert full[0] == full[1] > 20, "every window with enough readings has an activity"


def test_services_and_worker_killed(fresh_settings, champion, job, stack):
    settings = fresh_settings
    ledger = Ledger()
    load = Load(settings, ledger, devices=10)
    load.start()
    scorer = job(settings, "score")
    until(lambda: len(stored(settings)) > 10, "the first windows")
    stack.kill("postgres")
    until(lambda: "is back" in scorer.output, "PostgreSQL to come back", timeout=60)
    until(
        lambda: rows(settings, "select 1 from batches where started_at > now() - interval '3 seconds'"),
        "batches",
    )
    stack.kill("kafka")
    until(lambda: scorer.output.count("is back") >= 2, "Kafka to come back", timeout=60)
    before = len(stored(settings))
    until(lambda: len(stored(settings)) > before, "windows after Kafka came back")
    kill_a_python_worker(scorer.process.pid)
    load.finish()
    until(lambda: everything_read(settings), "the job to read everything")
    assert scorer.process.poll() is None, "the job must outlive its services"
    assert scorer.interrupt() == 0
    assert_ledger(settings, ledger)
    assert len(scorer.output.splitlines()) < 40, "said once, not a thousand times"


def kill_a_python_worker(pid: int) -> None:
    import psutil

    def kill_one() -> bool:
        # processes come and go while one looks
        for parent in psutil.Process(pid).children(recursive=True):
            try:
                if "streaming.daemon" in " ".join(parent.cmdline()):
                    for worker in parent.children():
                        worker.kill()
                        return True
            except psutil.NoSuchProcess:
                continue
        return False

    until(kill_one, "a Python worker to kill", timeout=60, every=0.05)


def test_second_scorer_is_refused(fresh_settings, champion, job):
    first = job(fresh_settings, "score")
    until(lambda: rows(fresh_settings, "select 1 from pg_locks where locktype = 'advisory'"), "the lease")
    second = job(fresh_settings, "score")
    assert second.wait(60) == 5
    assert "already" in second.output
    assert "Traceback" not in second.output
    assert first.process.poll() is None


def test_waits_for_a_champion(fresh_settings, job):
    registry = fresh_settings.registry.model_copy(update={"classifier": "nobody-trained-this"})
    settings = fresh_settings.model_copy(update={"registry": registry})
    scorer = job(settings, "score")
    until(lambda: "activity train" in scorer.output, "the advice to train one")
    assert scorer.process.poll() is None
    assert scorer.interrupt() == 0
    assert scorer.output.count("no champion") == 1


def send_some(settings: Settings, ledger: Ledger, begin_ms: int, count: int, device: str = "watch-a") -> None:
    with producer(settings) as client:
        for k in range(count):
            stamp = begin_ms + 100 * k
            payload = json.dumps(reading(device, stamp)).encode()
            client.send(settings.kafka.topic, payload, key=device.encode())
            ledger.note(device, stamp)


def test_lost_checkpoint_resumes_from_the_store(fresh_settings, champion, job):
    settings, ledger = fresh_settings, Ledger()
    begin = int(time.time()) // 10 * 10 * 1000 - 60_000
    send_some(settings, ledger, begin, 250)  # the last window is half there
    assert job(settings, "score", "--once").wait(120) == 0
    send_some(settings, ledger, begin + 25_000, 150)
    again = job(settings, "score", "--once", "--set-checkpoint-aside")
    assert again.wait(120) == 0
    assert "store's record of offsets" in again.output
    assert_ledger(settings, ledger)


def test_a_checkpoint_of_another_store_is_refused(fresh_settings, champion, job):
    settings, ledger = fresh_settings, Ledger()
    send_some(settings, ledger, int(time.time()) // 10 * 10 * 1000 - 60_000, 100)
    assert job(settings, "score", "--once").wait(120) == 0
    rows(settings, "with gone as (delete from batches returning 1) select count(*) from gone")
    refused = job(settings, "score", "--once")
    assert refused.wait(120) == 5
    assert "--set-checkpoint-aside" in refused.output


def test_unread_messages_gone_is_loud(fresh_settings, champion, job):
    from kafka import TopicPartition

    from activitymodule.streaming.broker import admin

    settings, ledger = fresh_settings, Ledger()
    begin = int(time.time()) // 10 * 10 * 1000 - 90_000
    send_some(settings, ledger, begin, 200)
    assert job(settings, "score", "--once").wait(120) == 0
    lost = Ledger()
    send_some(settings, lost, begin + 30_000, 100)
    with admin(settings) as client:
        ends = topic_ends(settings, settings.kafka.topic)
        client.delete_records(
            {TopicPartition(settings.kafka.topic, n): last for n, (_, last) in ends.items()}
        )
    refused = job(settings, "score", "--once")
    assert refused.wait(180) == 5, refused.output
    assert "DATA LOSS" in refused.output
    assert "Traceback" not in refused.output
    assert_ledger(settings, ledger)
    send_some(settings, ledger, begin + 60_000, 100)
    accepted = job(settings, "score", "--once", "--accept-data-loss")
    assert accepted.wait(120) == 0
    assert_ledger(settings, ledger)
