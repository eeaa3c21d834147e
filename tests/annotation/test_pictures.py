"""Every page on a desktop, light, and on a phone, dark: it fits, has its content, and the browser reports no error.

    PICTURES=docs/figures .venv/bin/python -m pytest tests/annotation/test_pictures.py

saves PNG files in that folder: with PICTURES_ALL=1 every page in every way, else the pictures of the
documentation (`make pictures`), with a model trained on more people.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from console_process import PASSWORDS, ROLES, Console, start_console
from disputes import disagree
from filled_queue import Scored, fill, scored
from own_settings import register_champion, replaced, settings_of_ones_own
from report_exports import write_report

from activitymodule.embedded.processes import any_free_port
from activitymodule.models.baseline import Counter, read_baseline
from activitymodule.models.bundle import ModelBytes, load_model
from activitymodule.registry.versions import register
from activitymodule.settings import Settings
from activitymodule.store.batches import begin_batch, finish_batch
from activitymodule.store.connection import Connection, session
from activitymodule.store.drift import write_minutes
from activitymodule.store.users import add_token, add_user
from activitymodule.synthesis.history import training_parts
from activitymodule.telemetry.encode import messages
from activitymodule.windows.catalogue import FEATURE_NAMES
from activitymodule.workflows.training import Request, train

pytestmark = pytest.mark.integration

DEVICES, MINUTES, ITEMS = 24, 30, 80
WIDE = {"width": 1280, "height": 800}
NARROW = {"width": 390, "height": 844}
PAGES = {
    "start": "/",
    "annotate": "/annotate",
    "review": "/review",
    "live": "/live",
    "watch": "/watch?device={watch}",
    "devices": "/device-models",
    "models": "/models",
    "drift": "/drift",
    "dead-letters": "/dead-letters",
    "people": "/people",
    "person": "/people?participant={watch}",
    "users": "/users",
    "storage": "/storage",
    "days": "/days?participant=p0004",
    "personas": "/personas",
    "reports": "/reports",
    "events": "/events",
}
# the pictures of the documentation, and their heights
IN_THE_DOCUMENTS = {
    "start": 1040,
    "annotate": 800,
    "live": 1150,
    "watch": 1280,
    "models": 1280,
    "drift": 1000,
    "days": 1500,
    "personas": 1500,
}
# what a page has once all of it is there
READY = {
    "annotate": "#annotate[data-item] .like .tile, #annotate[data-item] .like .none-yet",
    "review": "#desk svg",
    "live": "section.panel tbody tr:nth-child(8)",
    "watch": ".span-list tbody tr",
    "devices": "section.panel tbody tr:nth-child(6)",
    "models": "table.confusion",
    "drift": ".feature",
    "dead-letters": "details.version",
    "users": ".person",
    "storage": "section.panel tbody tr:nth-child(8)",
    "start": ".steps",
    "people": "section.panel",
    "person": "section.panel",
    "days": "section.panel canvas",
    "personas": "#members tbody tr:nth-child(8)",
    "reports": "figure img",
    "events": "section.panel tbody tr:nth-child(3)",
}
# nothing has come or moved since it was asked before
_AT_REST = """() => {
    const seen = document.body.innerHTML.length + " " + document.documentElement.scrollHeight;
    const same = window.seenBefore === seen;
    window.seenBefore = seen;
    return same;
}"""
FOLDER = os.environ.get("PICTURES")
ALL = bool(os.environ.get("PICTURES_ALL"))
# a theme moves nothing: each width and each theme once is enough where nobody looks at the pictures
WAYS = [("desktop", "light"), ("phone", "dark"), *([("desktop", "dark"), ("phone", "light")] if ALL else [])]

_LIVE = """
UPDATE predictions SET
    smoothed_activity = activity,
    received_at = window_end + interval '150 milliseconds' * (1 + random()),
    processed_at = least(window_end + interval '350 milliseconds' * (1.4 + random() + 3 * random() ^ 8), now()),
    kcal_per_min = CASE activity WHEN 'jogging' THEN 9.1 WHEN 'kicking' THEN 8.3 WHEN 'stairs' THEN 6.6
                                 WHEN 'walking' THEN 4.2 ELSE 1.5 END * (0.9 + 0.2 * random())
"""
# the newest window has just ended: the pictures are of a stream that is live
_SHIFT = """
UPDATE predictions SET
    window_start = window_start + by, window_end = window_end + by, received_at = received_at + by,
    processed_at = processed_at + by
FROM (SELECT now() - interval '1300 milliseconds' - max(window_end) AS by FROM predictions) AS shift
"""
# what the wearer remembers of the last minutes
_SPANS = """
TRUNCATE spans;
INSERT INTO spans (device_id, span_start, span_end, label, annotator, note, origin, answered_at, recorded_by)
SELECT %(watch)s, last - a * interval '1 minute', last - b * interval '1 minute', label, who, note, 'console', now(),
    who
FROM (SELECT date_trunc('minute', max(window_end)) AS last FROM predictions WHERE device_id = %(watch)s) AS newest,
    (VALUES (26, 12, 'walking', 'anna', 'to the station'), (12, 4, 'sitting', 'cleo', NULL),
            (19, 17, 'stairs', 'anna', NULL)) AS given (a, b, label, who, note)
"""
_PEOPLE = """
INSERT INTO participants (participant, age_years, sex, height_cm, weight_kg, resting_heart_rate_bpm)
SELECT DISTINCT device_id, 24 + (hashtext(device_id) & 31), 'female', 168, 63, 58 FROM predictions;
INSERT INTO participant_devices (participant, device_id, worn_from)
SELECT participant, participant, '-infinity' FROM participants
"""
_RUNS = """
INSERT INTO retrain_runs (run_id, started_by, why, state, step, progress, summary, started_at, finished_at, challenger)
VALUES
  ('scheduled-2026-11-21', 'airflow', 'on schedule', 'rejected', 'report', 1,
   'Rejected: macro-F1 .903 is not significantly better than .901 (120 audit labels of 14 people).',
   now() - interval '8 days', now() - interval '8 days' + interval '4 minutes', '2'),
  ('scheduled-2026-11-28', 'airflow', 'on schedule', 'unneeded', 'check', 1,
   'Not needed: 31 new gold labels, 50 are required.',
   now() - interval '1 day', now() - interval '1 day', NULL)
"""
_PROMOTIONS = """
INSERT INTO promotions (name, version, before, act, by_whom, why, verdict, at) VALUES
  (%(name)s, '2', '1', 'rejected', 'airflow', 'macro-F1 .903 is not significantly better than .901',
   '{"labels": 120, "people": 14, "champion_macro_f1": 0.901, "challenger_macro_f1": 0.903, "p_value": 0.31}',
   now() - interval '8 days')
"""
_ALARMS = """
INSERT INTO drift_alarms (model_version, measure, subject, value, bar, since, last_seen, over_at) VALUES
  ('1', 'psi', 'gravity_path_log', 0.41, 0.25, now() - interval '5 hours', now() - interval '4 minutes', NULL),
  ('1', 'class_shift', 'all', 0.33, 0.3, now() - interval '9 hours', now() - interval '7 hours',
   now() - interval '6 hours')
"""
_LETTERS = """
INSERT INTO dead_letters (topic, kafka_partition, kafka_offset, item, device_id, reason, detail, payload)
VALUES
  (%(topic)s, 0, 100, -1, NULL, 'not_json', 'Expecting value: line 1 column 1', 'hello, is this the watch topic?'),
  (%(topic)s, 1, 200, 0, 'watch-00003', 'stamp_from_the_future', '2027-01-01T00:00:00Z is 33 days ahead',
   '[{"device_id": "watch-00003", "stamp": "2027-01-01T00:00:00Z", "pitch": 0.1}]'),
  (%(topic)s, 1, 201, 2, 'watch-00007', 'out_of_range', 'heart_rate 900 is above 250',
   '[{"device_id": "watch-00007", "stamp": "2026-11-29T09:00:00Z", "heart_rate": 900}]')
"""
_WEBHOOKS = """
INSERT INTO webhooks (url, events, added_by, sequence, delivered, delivered_at, failing_since, error, dead_at) VALUES
  ('https://study.example.org/activity?key=1', '{began,ended,corrected,withdrawn}', 'anna', 0, 20481,
   now() - interval '12 seconds', NULL, NULL, NULL),
  ('https://hooks.example.com/services/a-rather-long-path/of-an-address', '{ended}', 'anna', 0, 310,
   now() - interval '9 minutes', now() - interval '8 minutes', 'hooks.example.com answers 503', NULL),
  ('https://old.example.net/hook', '{began,ended}', 'anna', 0, 4, now() - interval '9 days', now() - interval '8 days',
   'the host old.example.net is not found', now() - interval '7 days')
"""


@pytest.fixture(scope="module")
def models(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of the two models: for pictures trained on 24 people, else those all tests share."""
    if FOLDER is None:
        return Path(request.getfixturevalue("trained"))
    folder = tmp_path_factory.mktemp("pictured")
    config = request.getfixturevalue("stack_settings")
    train(Request(what="both", data="synthetic", devices=24, minutes=30, folds=4, folder=folder), config)
    return folder


@pytest.fixture(scope="module")
def running_console(
    stack: Any,
    models: Path,
    environment_of: Callable[[Settings], dict[str, str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Console]:
    """A console with something to see on every page."""
    folder = tmp_path_factory.mktemp("pictures")
    with settings_of_ones_own(stack, folder) as own:
        settings = replaced(
            own,
            console={
                "port": any_free_port(),
                "secret": secrets.token_urlsafe(24),
                "sign_ins_per_minute": 1000,
            },
            oidc={"issuer": "https://id.example.org"},
        )
        first = register_champion(settings, models)
        register(settings, first.name, models / "activity", {}, tags={"data": "labels of annotators"})
        made = scored_by(models, scored(DEVICES, MINUTES))
        with session(settings) as connection:
            for name, password in PASSWORDS.items():
                add_user(connection, name, ROLES[name], password)  # type: ignore[arg-type]
            add_token(connection, "prometheus")
            add_token(connection, "strap", devices=["strap-1", "lab-*"], days=90)
            fill_store(connection, settings, made, models)
        write_archive(settings, made)
        write_report(settings)
        log = folder / "console.log"
        process = start_console(settings, environment_of(settings), log)
        held = Console(f"http://127.0.0.1:{settings.console.port}", settings, made, process, log)
        disagree(held)
        label_some(held)
        yield held
        if process.poll() is None:
            held.stop()
        print(log.read_text())


def scored_by(models: Path, made: Scored) -> Scored:
    """The same windows, scored by the model that the console shows."""
    model, card = load_model(ModelBytes.read(models / "activity", "1", max_megabytes=50), "activity")
    columns = [FEATURE_NAMES.index(name) for name in card.feature_names]
    probabilities = model.predict_proba(made.features[:, columns]).astype(np.float32)
    return replace(made, labels=card.labels, probabilities=probabilities)


def fill_store(connection: Connection, settings: Settings, made: Scored, models: Path) -> None:
    """Predictions, queue, batches, drift, dead letters, runs."""
    fill(connection, settings, items=ITEMS, made=made)
    baseline = read_baseline(models / "activity")
    assert baseline is not None
    totals = Counter(baseline).by_minute(
        made.windows.window_start_us, made.features.copy(), made.probabilities, made.batch.coverage >= 0.9
    )
    write_minutes(connection, totals, model_version="1", query_id="pictures", batch_id=1, part=0)
    with connection.cursor() as cursor:
        for statement in (_LIVE, _PEOPLE, _RUNS, _PROMOTIONS, _ALARMS, _LETTERS, _WEBHOOKS):
            cursor.execute(statement, {"name": settings.registry.classifier, "topic": settings.kafka.topic})


def write_archive(settings: Settings, made: Scored) -> None:
    """The messages of one watch, a file a minute, as the stream writes them."""
    begin = int(made.windows.window_start_us.min()) // 1_000_000
    device = watch_of(made)
    parts = training_parts(DEVICES + 4, MINUTES, 7, start=begin)
    readings = pa.concat_tables(
        [
            part.readings.filter(pc.equal(part.readings.column("device_id"), device)).drop_columns(
                ["activity", "kcal_per_min"]
            )
            for part in parts
        ]
    )
    for minute in range(MINUTES):
        low = begin + 60 * minute
        encoded = messages(readings.slice(600 * minute, 600), 10)
        day = (
            Path(settings.archive.folder)
            / settings.kafka.topic
            / f"date={datetime.fromtimestamp(low, UTC):%F}"
        )
        day.mkdir(parents=True, exist_ok=True)
        path = day / f"part-{minute}.parquet"
        keys = pa.array([name.encode() for name in encoded.device_id], pa.binary())
        pq.write_table(pa.table({"key": keys, "value": pa.array(encoded.value, pa.binary())}), path)
        os.utime(path, (low + 90, low + 90))


def watch_of(made: Scored) -> str:
    return str(made.windows.device_id[0].as_py())


def label_some(console: Console) -> None:
    """A dozen windows labelled by the REST routes of the page, as their truth is."""
    client = console.session("cleo")
    for _ in range(12):
        item = client.get(f"{console.address}/annotate/next", timeout=30).json()["item"]
        label = max(item["model"], key=item["model"].get, default="sitting")
        answer = client.post(
            f"{console.address}/annotate/answer",
            json={"item_id": item["item_id"], "answer": "label", "label": label, "seconds": 3.1},
            timeout=30,
        )
        assert answer.ok, answer.text


def make_live(console: Console) -> None:
    console.rows(_SHIFT)
    console.rows(_SPANS, {"watch": watch_of(console.made)})
    with session(console.settings) as connection:
        number = int(time.time())
        begin_batch(
            connection,
            query_id="pictures",
            batch_id=number,
            topic=console.settings.kafka.topic,
            offsets={0: (0, 0)},
            model_version="1",
            energy_version="1",
        )
        finish_batch(connection, query_id="pictures", batch_id=number, windows=24)


def stays_inside(page: Any, width: int) -> None:
    wide = page.evaluate(
        "[...document.querySelectorAll('main *')].filter(x => x.getBoundingClientRect().right > innerWidth + 1 &&"
        " !x.closest('.table-wrap, .scroll-x, .plot, svg')).map(x => x.outerHTML.slice(0, 120))"
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= width, wide


def keep(page: Any, name: str, height: int) -> None:
    """Save what is on the screen, on one of this height (0: as the page is)."""
    if FOLDER is None:
        return
    Path(FOLDER).mkdir(parents=True, exist_ok=True)
    before = page.viewport_size
    page.set_viewport_size(
        {"width": before["width"], "height": height or page.evaluate("document.body.scrollHeight")}
    )
    page.wait_for_timeout(300)
    page.screenshot(path=str(Path(FOLDER) / f"{name}.png"))
    page.set_viewport_size(before)


@pytest.mark.parametrize(("place", "theme"), WAYS)
def test_every_page_fits_and_has_its_content(
    running_console: Console, browser: Any, theme: str, place: str
) -> None:
    console = running_console
    view = WIDE if place == "desktop" else NARROW
    context = browser.new_context(viewport=view, device_scale_factor=1, color_scheme=theme)
    context.set_default_timeout(45_000)
    page = context.new_page()
    errors: list[str] = []
    page.on("console", lambda entry: errors.append(entry.text) if entry.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{console.address}/signin")
    if ALL:
        keep(page, f"signin-{place}-{theme}", view["height"])
    page.fill("#name", "anna")
    page.fill("#password", PASSWORDS["anna"])
    page.press("#password", "Enter")
    page.wait_for_url(f"{console.address}/")
    for name, path in PAGES.items():
        make_live(console)
        page.goto(console.address + path.format(watch=watch_of(console.made)))
        page.wait_for_selector(READY[name])
        page.wait_for_function("!document.body.innerText.includes('Loading ...')")
        page.wait_for_function(_AT_REST, polling=150)
        stays_inside(page, view["width"])
        if ALL:
            keep(page, f"{name}-{place}-{theme}", view["height"] if name == "annotate" else 0)
        elif name in IN_THE_DOCUMENTS and (place, theme) == ("desktop", "light"):
            keep(page, name, IN_THE_DOCUMENTS[name])
    assert errors == []
    context.close()
