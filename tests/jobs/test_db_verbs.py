"""`activity db`, `dead-letters`, `evaluate` and `watch` on real services, and the view on a made-up moment."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from typer.testing import CliRunner

from activitymodule.errors import ConfigError, DataError
from activitymodule.jobs import db, dead_letters, evaluate, options, output, watch, watch_view
from activitymodule.models.evaluation.against_truth import Evaluation, Score
from activitymodule.store.connection import session
from activitymodule.store.dead_letters import DeadLetters, write_dead_letters
from activitymodule.store.live import Pulse, Recent
from activitymodule.workflows.live import Snapshot

integration = pytest.mark.integration


@pytest.fixture
def run(fresh_settings, monkeypatch):
    """A function that runs a verb on the fresh services and returns what it printed; errors come as they are."""
    for module in (db, dead_letters, evaluate, watch):
        monkeypatch.setattr(module, "settings", lambda: fresh_settings)

    def call(module, *arguments):
        result = CliRunner().invoke(module.app, arguments)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.stdout

    return call


@pytest.fixture
def letters(fresh_settings):
    with session(fresh_settings) as connection:
        write_dead_letters(
            connection,
            DeadLetters(
                topic=fresh_settings.kafka.topic,
                partition=[0, 0, 1],
                offset=[5, 5, 9],
                item=[0, 3, -1],
                device_id=["watch-1", "watch-1", None],
                reason=["bad_stamp", "bad_stamp", "not_json"],
                detail=["x", None, "\x1b[31mred"],
                payload=[b"[1,2,3,4]", b"[1,2,3,4]", b"\x1b[2J{no json\n"],
                kafka_at_us=[1_790_000_000_000_000] * 3,
            ),
        )


# ---- db ---------------------------------------------------------------------------------------------------


@integration
def test_db(run, fresh_settings):
    assert "up to date" in run(db, "upgrade")
    status = json.loads(run(db, "status", "--json"))
    assert status["revision"] == status["head"]
    assert status["database"] == fresh_settings.store.database
    assert "predictions" in run(db, "status")
    assert json.loads(run(db, "summary", "--json"))["predictions"] == 0
    assert "dead letters" in run(db, "summary")
    assert json.loads(run(db, "query", "SELECT 1 AS a, NULL AS b, now() - now() AS c", "--json")) == [
        {"a": 1, "b": None, "c": 0.0}
    ]
    assert run(db, "query", "SELECT 'x,y' AS a", "--format", "csv") == 'a\n"x,y"\n'
    assert "watch" in run(db, "query", "SELECT 'watch' AS a")
    shown = run(db, "psql", "--print", "--", "-c", "SELECT 1")
    assert f"PGDATABASE={fresh_settings.store.database}" in shown
    assert fresh_settings.store.password.get_secret_value() not in shown
    with pytest.raises(ConfigError, match="refused"):
        run(db, "query", "DROP TABLE predictions")
    with pytest.raises(ConfigError, match="no query"):
        run(db, "query", " ")


@integration
def test_psql_is_connected(fresh_settings, environment_of):
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "activitymodule",
            "db",
            "psql",
            "--",
            "-Atc",
            "SELECT count(*) FROM predictions",
        ],
        env=environment_of(fresh_settings),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stdout) == (0, "0\n"), ended.stderr


# ---- dead letters -----------------------------------------------------------------------------------------


@integration
def test_dead_letters(run, letters, fresh_settings, tmp_path):
    topic = fresh_settings.kafka.topic
    listed = run(dead_letters, "list")
    assert f"{topic}/0/5/3" in listed
    assert "\x1b" not in listed
    assert len(json.loads(run(dead_letters, "list", "--json", "--reason", "bad_stamp"))) == 2
    assert json.loads(run(dead_letters, "list", "--json", "--since", "2999-01-01")) == []
    assert "no dead letters" in run(dead_letters, "list", "--device", "nobody")
    counts = {row["reason"]: row["letters"] for row in json.loads(run(dead_letters, "summary", "--json"))}
    assert counts == {"bad_stamp": 2, "not_json": 1}
    assert "bad_stamp" in run(dead_letters, "summary")
    shown = run(dead_letters, "show", f"{topic}/1/9")
    assert "\\x1b[2J{no json\\n" in shown
    assert "\x1b" not in shown
    with pytest.raises(DataError, match="no dead letter"):
        run(dead_letters, "show", f"{topic}/1/10")
    with pytest.raises(ConfigError, match="no place"):
        run(dead_letters, "show", "somewhere")
    with pytest.raises(ConfigError, match="no time"):
        run(dead_letters, "list", "--since", "yesterday")
    out = tmp_path / "letters.jsonl"
    run(dead_letters, "export", str(out))
    assert len(out.read_text().splitlines()) == 3
    assert len(run(dead_letters, "export").splitlines()) == 3


@integration
def test_dead_letters_are_sent_again_once(run, letters, fresh_settings):
    from activitymodule.kafka.clients import topic_ends

    def count():
        return sum(end for _, end in topic_ends(fresh_settings, fresh_settings.kafka.topic).values())

    assert json.loads(run(dead_letters, "replay", "--dry-run", "--json"))["messages"] == 2
    assert count() == 0
    # two bad items of one message are one message
    assert json.loads(run(dead_letters, "replay", "--json")) == {"messages": 2, "left_out": 0, "sent": True}
    assert count() == 2
    assert "nothing to send" in run(dead_letters, "replay")
    assert "sent 1 messages" in run(dead_letters, "replay", "--again", "--reason", "not_json")
    assert count() == 3


# ---- evaluate and watch ----------------------------------------------------------------------------------


@pytest.fixture
def scored(fresh_settings):
    """Ten windows of two watches, nine right, and their truth in Kafka."""
    import pyarrow as pa

    from activitymodule.kafka.clients import producer
    from activitymodule.store.batches import begin_batch, finish_batch
    from activitymodule.store.models import record_model_version
    from activitymodule.store.predictions import PredictionRows, write_predictions

    labels = ("sitting", "walking")
    now = int(time.time()) // 10 * 10 - 120
    n = 10
    truth = np.array([i % 2 for i in range(n)])
    said = truth.copy()
    said[0] = 1 - said[0]
    starts = np.array([now + 10 * (i // 2) for i in range(n)], np.int64) * 1_000_000
    devices = [f"watch-{i % 2}" for i in range(n)]
    with session(fresh_settings) as connection:
        record_model_version(connection, name="m", version="4", labels=labels, feature_version="f")
        begin_batch(
            connection,
            query_id="q",
            batch_id=1,
            topic=fresh_settings.kafka.topic,
            offsets={0: (0, 3)},
            model_version="4",
            energy_version="2",
        )
        write_predictions(
            connection,
            PredictionRows(
                device_id=pa.array(devices),
                window_start_us=starts,
                window_seconds=10,
                labels=labels,
                probabilities=np.where(np.arange(2) == said[:, None], 0.9, 0.1).astype(np.float32),
                in_set=np.arange(2) == said[:, None],
                kcal_per_min=np.full(n, 3, np.float32),
                coverage=np.ones(n, np.float32),
                readings_used=np.full(n, 100, np.int32),
                duplicates=np.zeros(n, np.int32),
                reason=[None] * n,
                model_version="4",
                energy_version="2",
                last_reading_us=starts + 9_900_000,
                received_us=starts + 10_000_000,
                batch_id=1,
            ),
        )
        finish_batch(connection, query_id="q", batch_id=1, windows=n)
    with producer(fresh_settings) as out:
        for device, start, activity in zip(devices, starts // 1_000_000, truth, strict=True):
            begin = datetime.fromtimestamp(int(start), UTC)
            message = {
                "device_id": device,
                "start": begin.isoformat(),
                "end": (begin + timedelta(seconds=10)).isoformat(),
                "activity": labels[activity],
                "kcal_per_min": 2.0,
                "source": "test",
            }
            out.send(fresh_settings.kafka.truth_topic, json.dumps(message).encode(), key=device.encode())
        out.send(fresh_settings.kafka.truth_topic, b"no truth")
        for _ in range(5):
            out.send(fresh_settings.kafka.topic, b"{}", partition=0)
    return fresh_settings


@integration
def test_evaluate(run, scored):
    found = json.loads(run(evaluate, "--json"))
    assert found["raw"]["compared"] == 10
    assert found["raw"]["accuracy"] == 0.9
    assert found["coverage"] == 1
    assert found["kcal_mean_absolute_error"] == pytest.approx(1)
    printed = run(evaluate, "--since", "10m")
    assert "accuracy 90.0%" in printed
    assert json.loads(run(evaluate, "--json", "--device", "watch-1"))["raw"]["accuracy"] == 1
    with pytest.raises(DataError, match="nothing of that"):
        run(evaluate, "--device", "nobody")


@integration
def test_evaluate_without_truth_names_what_sends_it(run):
    with pytest.raises(DataError, match=r"truth topic .* is empty"):
        run(evaluate)


@integration
def test_watch_in_a_pipe(run, scored):
    lines = [json.loads(row) for row in run(watch, "--seconds", "6", "--json-lines").splitlines()]
    last = lines[-1]
    assert last["pulse"]["watches"] == {"sitting": 1, "walking": 1}
    assert last["lag"] == 2
    assert last["dead_letters"] == 0
    assert last["agreement"]["raw"]["accuracy"] == 0.9
    assert last["pulse"]["model_version"] == "4"
    printed = run(watch, "--seconds", "3")
    assert "2 watches: sitting 1, walking 1" in printed
    assert "raw 90.0%" in printed


def test_watch_goes_on_without_any_service(environment_of, tmp_path):
    from activitymodule import settings as config
    from activitymodule.embedded.processes import any_free_port

    away = config.build(
        {
            "store": {"port": any_free_port()},
            "kafka": {"bootstrap_servers": f"127.0.0.1:{any_free_port()}"},
        }
    )
    ended = subprocess.run(
        [sys.executable, "-m", "activitymodule", "watch", "--seconds", "10"],
        env=environment_of(away),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    assert f"PostgreSQL at 127.0.0.1:{away.store.port} does not answer" in ended.stdout
    assert "Kafka at" in ended.stdout
    assert "Traceback" not in ended.stderr


def moment(labels=("walking", "sitting", "a label with a rather long name"), trouble=None, pulse=True):
    now = datetime(2026, 11, 20, 10, tzinfo=UTC)
    recent = tuple(
        Recent(
            "watch-with-a-long-name-\x1b[31m",
            now - timedelta(seconds=i),
            labels[i % len(labels)] if i % 4 else None,
            0.75 if i % 4 else None,
            labels[0],
            3.0 if i % 4 else None,
            1,
            None if i % 4 else "too few readings",
            0.25,
            now,
        )
        for i in range(40)
    )
    beat = Pulse(
        now, {labels[0]: 18, labels[-1]: 3, "": 2}, 300, 30_000, 59.0, 0.24, 0.3, 0.24, 0.3, 0, None, 3.4, 12, "m",
        "3", labels, "2", 12, now, 0.2, {0: 10}, recent,
    )  # fmt: skip
    one = Score(100, 0.9, 0.8, (), (), ())
    found = Evaluation(110, 5, 5, 105, 0.95, one, one, 100, 0.4, 3.0, 3.1)
    return Snapshot(
        "ticker-watch-data",
        beat if pulse else None,
        42,
        7,
        found,
        trouble,
        "Kafka is away" if trouble else None,
    )


@pytest.mark.parametrize("width", [30, 40, 60, 80, 92, 110, 200])
@pytest.mark.parametrize("height", [16, 24, 50])
def test_the_view_fits_into_any_terminal(width, height):
    from rich.console import Console

    for snapshot in (moment(), moment(trouble="PostgreSQL is away"), moment(pulse=False, trouble="away")):
        console = Console(
            width=width, height=height, file=io.StringIO(), force_terminal=True, color_system=None
        )
        console.print(watch_view.render(snapshot, width, height))
        lines = console.file.getvalue().splitlines()
        assert max(map(len, lines)) <= width
        # where there is room for the figures at all, the last predictions never push anything out of sight
        if height >= 50 or width >= 92:
            assert len(lines) <= max(height, 16)
        assert "\x1b[31m" not in console.file.getvalue()


def test_the_view_shows_what_it_knows():
    from rich.console import Console

    console = Console(width=110, height=34, file=io.StringIO(), color_system=None)
    console.print(watch_view.render(moment(), 110, 34))
    seen = console.file.getvalue()
    for text in (
        "23 watches now",
        "walking",
        "0.24 s / 0.30 s",
        "42",
        "7 (+12/min)",
        "v3, energy v2",
        "90.0% of 100",
    ):
        assert text in seen
    assert "23 watches: walking 18" in watch_view.line(moment())
    assert json.loads(watch._json_line(moment()))["windows_per_second"] == pytest.approx(5.085)


def test_a_scorer_that_catches_up_shows_how_far_it_is_behind():
    from dataclasses import replace

    from rich.console import Console

    behind = replace(moment(), pulse=replace(moment().pulse, behind_seconds=90.0, live_p50_seconds=None))
    console = Console(width=110, height=34, file=io.StringIO(), color_system=None)
    console.print(watch_view.render(behind, 110, 34))
    seen = console.file.getvalue()
    assert "catching up" in seen
    assert "90.00 s behind" in seen
    assert "90.00 s behind" in watch_view.line(behind)


def test_nobody_has_been_heard_of():
    from dataclasses import replace

    from rich.console import Console

    quiet = replace(
        moment(), pulse=replace(moment().pulse, watches={}, windows=0, recent=(), labels=(), batch_id=None)
    )
    console = Console(width=100, file=io.StringIO())
    console.print(watch_view.render(quiet, 100, 30))
    assert "no watch in the last minute" in console.file.getvalue()
    assert "none in the last minute" in watch_view.line(quiet)


# ---- output -----------------------------------------------------------------------------------------------


def test_output_is_safe_for_terminals_and_scripts(capsys):
    assert output.safe("a\x1b[2J\n\x9b\x00ü") == "a\\x1b[2J\\n\\x9b\\x00ü"
    assert output.safe("abcdef", 4) == "abc…"
    assert output.jsonable([float("inf"), float("nan"), b"\xff", timedelta(seconds=1.5)]) == [
        None,
        None,
        "\\xff",
        1.5,
    ]
    output.print_csv(["a", "b"], [["x\ny", None], ['"', 1.5]])
    assert list(csv.reader(io.StringIO(capsys.readouterr().out))) == [["a", "b"], ["x\ny", ""], ['"', "1.5"]]
    output.print_table(["a"], [["[bold]not markup[/bold]"], [datetime(2026, 1, 2, tzinfo=UTC)]])
    assert "[bold]not markup[/bold]" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "ago"),
    [("30m", 1800), ("1.5h", 5400), ("7d", 7 * 86400), ("90s", 90), ("2026-11-20T10:00", None)],
)
def test_moments(text, ago):
    found = options.moment(text)
    if ago is None:
        assert found == datetime(2026, 11, 20, 10, tzinfo=UTC)
    else:
        assert (datetime.now(UTC) - found).total_seconds() == pytest.approx(ago, abs=5)
