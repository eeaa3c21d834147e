"""The pages of the stream in the browser: versions that are promoted, dead letters that are sent again, a fleet of a
thousand watches, and drift that cannot be judged yet. On a console with models, topic and database of its own."""

from __future__ import annotations

import json
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from console_process import PASSWORDS, ROLES, Console, start_console
from own_settings import register_champion, replaced, settings_of_ones_own

from activitymodule.embedded.processes import any_free_port
from activitymodule.kafka.clients import consumer, topic_ends
from activitymodule.models.baseline import BASELINE_FILE
from activitymodule.models.export import CARD_FILE
from activitymodule.registry.versions import champion, get, previous, register, set_champion
from activitymodule.settings import Settings
from activitymodule.store.connection import session
from activitymodule.store.dead_letters import DeadLetters, write_dead_letters
from activitymodule.store.models import record_model_version
from activitymodule.store.predictions import PredictionRows, write_predictions
from activitymodule.store.users import add_user
from activitymodule.telemetry.reasons import Reason

pytestmark = pytest.mark.integration

WATCHES = 1000
WINDOWS = 7  # of each watch, one after the other
PHONE = {"width": 390, "height": 844}


# this module's console; `visit` opens its pages
@pytest.fixture(scope="module")
def running_console(
    stack: Any,
    trained: Path,
    environment_of: Callable[[Settings], dict[str, str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Console]:
    """A console whose registry has two versions of the classifier, and whose store is empty but for its users."""
    folder = tmp_path_factory.mktemp("fleet-console")
    with settings_of_ones_own(stack, folder) as own:
        settings = replaced(
            own,
            console={
                "port": any_free_port(),
                "secret": secrets.token_urlsafe(24),
                "sign_ins_per_minute": 1000,
            },
        )
        first = register_champion(settings, trained)
        register(settings, first.name, trained / "activity", {}, tags={"data": "synthetic"})
        with session(settings) as connection:
            for name, password in PASSWORDS.items():
                add_user(connection, name, ROLES[name], password)  # type: ignore[arg-type]
        log = folder / "console.log"
        process = start_console(settings, environment_of(settings), log)
        held = Console(f"http://127.0.0.1:{settings.console.port}", settings, None, process, log)
        yield held
        if process.poll() is None:
            held.stop()
        print(log.read_text())


def complaints(page: Any) -> list[str]:
    """What the browser says against the page from now on; grows."""
    found: list[str] = []
    page.on("console", lambda said: found.append(said.text) if said.type == "error" else None)
    return found


def fits_a_phone(page: Any) -> None:
    """Nothing stands out of a narrow screen."""
    page.set_viewport_size(PHONE)
    page.wait_for_function("innerWidth === 390")
    wide = page.evaluate(
        "[...document.querySelectorAll('main *')].filter(x => x.getBoundingClientRect().right > innerWidth + 1 &&"
        " !x.closest('.table-wrap, .scroll-x, svg')).map(x => x.outerHTML.slice(0, 120))"
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], wide


# ---- models -------------------------------------------------------------------------------------------------------


def classifier(console: Console) -> str:
    return console.settings.registry.classifier


def serving(console: Console) -> str:
    found = champion(console.settings, classifier(console))
    assert found is not None
    return found.version


def acts(console: Console) -> list[tuple[Any, ...]]:
    """What is written down of promotions, newest first."""
    return console.rows(
        "SELECT name, version, before, act, by_whom, why FROM promotions ORDER BY promotion_id DESC"
    )


def version_block(page: Any, number: str) -> Any:
    return page.locator("details.version", has=page.locator(f"summary b:text-is('Version {number}')")).first


def named_champion(page: Any, number: str) -> None:
    version_block(page, number).locator("summary .chip.good", has_text="champion").wait_for()


def give_reason(page: Any, button: str, why: str) -> None:
    dialog = page.locator(".q-dialog")
    dialog.get_by_label("Reason").fill(why)
    dialog.get_by_role("button", name=button, exact=True).click()


def promote_button(page: Any, number: str) -> Any:
    block = version_block(page, number)
    if block.get_attribute("open") is None:
        block.locator("summary").first.click()
    return block.get_by_role("button", name="Promote", exact=True)


def test_an_admin_promotes_with_a_reason_and_rolls_back(
    running_console: Console, visit: Callable[..., Any]
) -> None:
    console = running_console
    now = serving(console)
    other = {"1": "2", "2": "1"}[now]
    page = visit("anna", "/models")
    said = complaints(page)
    named_champion(page, now)
    version_block(page, now).get_by_text("Macro-F1", exact=True).wait_for()
    assert promote_button(page, now).count() == 0

    promote_button(page, other).click()
    give_reason(page, "Promote", "   ")
    page.get_by_text("Enter a reason.").wait_for()
    assert acts(console) == []
    promote_button(page, other).click()
    why = "better on <b>cyclists</b> & runners"
    give_reason(page, "Promote", why)
    named_champion(page, other)
    line = page.locator("table.plain tr", has_text=why)
    line.wait_for()
    assert line.locator("td").all_inner_texts()[1:] == [other, now, "promoted by hand", "anna", why]
    version_block(page, other).get_by_role("status").get_by_text(why).wait_for()
    assert serving(console) == other
    assert previous(console.settings, classifier(console)).version == now
    assert acts(console) == [(classifier(console), other, now, "promoted by hand", "anna", why)]

    page.get_by_role("button", name="Roll back", exact=True).click()
    give_reason(page, "Roll back", "worse on stairs after all")
    named_champion(page, now)
    page.locator("table.plain tr", has_text="worse on stairs after all").wait_for()
    assert serving(console) == now
    assert acts(console)[0] == (
        classifier(console),
        now,
        other,
        "rolled back",
        "anna",
        "worse on stairs after all",
    )
    version_block(page, now).get_by_text("Macro-F1", exact=True).wait_for()
    fits_a_phone(page)
    assert said == []


def test_an_annotator_cannot_promote(running_console: Console, visit: Callable[..., Any]) -> None:
    console = running_console
    now = serving(console)
    other = {"1": "2", "2": "1"}[now]
    before = acts(console)
    pressed: list[dict[str, Any]] = []

    def listen(frame: str | bytes) -> None:
        if isinstance(frame, str) and frame.startswith("42") and '"event"' in frame[:12]:
            pressed.append(json.loads(frame[2:])[1])

    admin = visit("anna", "/")
    admin.on("websocket", lambda socket: socket.on("framesent", listen))
    admin.goto(f"{console.address}/models")
    promote_button(admin, other).click()
    admin.locator(".q-dialog").get_by_label("Reason").wait_for()
    press = pressed[-1]

    page = visit("bob", "/models")
    named_champion(page, now)
    assert promote_button(page, other).count() == 0
    version_block(page, other).get_by_role("heading", name="Lineage").wait_for()
    assert page.get_by_role("button").filter(has_text="Promote").count() == 0
    assert page.get_by_role("button").filter(has_text="Roll back").count() == 0
    assert page.get_by_role("button").filter(has_text="Retrain").count() == 0
    # the admin's press of the button, sent from the annotator's page: it finds nothing there
    page.evaluate("press => socket.emit('event', {...press, client_id: clientId})", press)
    # what is asked for after it has come: the press was handled
    page.locator("details.version > summary").last.click()
    page.get_by_text("Mean absolute error").wait_for()
    assert page.locator(".q-dialog").count() == 0

    # who is no admin any more may have the page open still
    console.rows("UPDATE users SET role = 'annotator' WHERE name = 'anna'")
    try:
        give_reason(admin, "Promote", "while nobody looks")
        admin.get_by_text("only an admin may do this, and anna is no longer one").wait_for()
    finally:
        console.rows("UPDATE users SET role = 'admin' WHERE name = 'anna'")
    assert serving(console) == now
    assert acts(console) == before


# ---- dead letters --------------------------------------------------------------------------------------------------

SCRIPT = b'<script>window.owned = 1</script><img src="x" onerror="window.owned = 1"> {"device_id": '
TWICE = b'[{"device_id": "watch-00001"}, {"device_id": "watch-00001", "stamp": "soon"}]'


def write_letters(console: Console) -> None:
    """Three messages: text with markup in it, one with two bad items, and bytes that are no text."""
    now = time.time_ns() // 1000
    letters = DeadLetters(
        topic=console.settings.kafka.topic,
        partition=[0, 1, 1, 0],
        offset=[1000, 2000, 2000, 1001],
        item=[-1, 0, 1, -1],
        device_id=[None, "watch-00001", "watch-00001", None],
        reason=[Reason.NOT_JSON, Reason.NO_STAMP, Reason.BAD_STAMP, Reason.WRONG_ENCODING],
        detail=["<script>window.owned = 1</script>", None, "soon", None],
        payload=[SCRIPT, TWICE, TWICE, b"\xff\x00\x01"],
        kafka_at_us=[now] * 4,
    )
    with session(console.settings) as connection:
        assert write_dead_letters(connection, letters) == 4


def messages(console: Console) -> list[bytes]:
    """All that is on the topic."""
    from kafka import TopicPartition

    settings = console.settings
    ends = topic_ends(settings, settings.kafka.topic)
    expected = sum(end - first for first, end in ends.values())
    found: list[bytes] = []
    with consumer(settings) as client:
        parts = [TopicPartition(settings.kafka.topic, number) for number in ends]
        client.assign(parts)
        client.seek_to_beginning(*parts)
        deadline = time.monotonic() + 30
        while len(found) < expected and time.monotonic() < deadline:
            for records in client.poll(1000).values():
                found += [record.value for record in records]
    assert len(found) == expected
    return found


def send_again(page: Any) -> str:
    page.get_by_role("button", name="Send again", exact=True).click()
    page.locator(".q-dialog").get_by_role("button", name="Send", exact=True).click()
    return str(page.locator(".notice.good").inner_text())


def test_dead_letters_are_shown_as_text_and_sent_again_once(
    running_console: Console, visit: Callable[..., Any]
) -> None:
    console = running_console
    empty = visit("bob", "/dead-letters")
    empty.get_by_role("heading", name="No dead letters").wait_for()
    write_letters(console)
    page = visit("anna", "/dead-letters")
    said = complaints(page)
    page.locator("details.version").nth(3).wait_for()
    reasons = page.locator("table.plain tbody tr b").all_inner_texts()
    assert sorted(reasons) == ["bad_stamp", "no_stamp", "not_json", "wrong_encoding"]
    assert page.locator("details.version").count() == 4

    page.get_by_role("link", name="not_json").click()
    page.wait_for_url("**/dead-letters?reason=not_json")
    letter = page.locator("details.version")
    letter.wait_for()
    letter.locator("summary").click()
    assert letter.locator("pre.payload").inner_text() == SCRIPT.decode()
    assert "<script>window.owned = 1</script>" in letter.locator("dl.facts").inner_text()
    assert page.locator("main script, main img").count() == 0
    assert page.evaluate("window.owned") is None

    assert messages(console) == []
    assert send_again(page).startswith("1 message sent again")
    assert messages(console) == [SCRIPT]
    marked = "SELECT reason FROM dead_letters WHERE replayed_at IS NOT NULL ORDER BY reason"
    assert console.rows(marked) == [("not_json",)]
    page.reload()
    page.locator("details.version .chip.good", has_text="sent again").wait_for()
    assert page.get_by_role("button", name="Send again", exact=True).is_disabled()

    # a message with two bad items goes once
    page.goto(f"{console.address}/dead-letters")
    assert send_again(page).startswith("2 messages sent again")
    assert sorted(messages(console)) == sorted([SCRIPT, TWICE, b"\xff\x00\x01"])
    assert len(console.rows(marked)) == 4
    page.reload()
    page.locator("details.version .chip.good").nth(3).wait_for()
    fits_a_phone(page)
    assert page.evaluate("window.owned") is None
    assert said == []

    empty.reload()
    empty.locator("details.version").nth(3).wait_for()
    assert empty.get_by_role("button").filter(has_text="Send again").count() == 0


# ---- a fleet of a thousand -----------------------------------------------------------------------------------------


def names(n: int = WATCHES) -> list[str]:
    return [f"watch-{number:05d}" for number in range(1, n + 1)]


def write_fleet(console: Console, trained: Path) -> int:
    """Windows of a thousand watches up to now, one after the other, with the labels of the trained model: sure ones,
    doubtful ones, and some without an activity. How many."""
    labels = tuple(json.loads((trained / "activity" / CARD_FILE).read_text())["labels"])
    random = np.random.default_rng(4)
    devices = np.repeat(names(), WINDOWS)
    n, k = len(devices), len(labels)
    last = int(time.time()) // 10 * 10 - 20
    starts = np.tile(last - 10 * np.arange(WINDOWS), WATCHES).astype(np.int64) * 1_000_000
    # a watch does one thing for all of its windows
    doing = np.repeat(random.choice(k, WATCHES, p=random.dirichlet(np.full(k, 8.0))), WINDOWS)
    sure = random.beta(8, 2, n).astype(np.float32)
    probabilities = np.repeat(((1 - sure) / (k - 1))[:, None], k, axis=1)
    probabilities[np.arange(n), doing] = sure
    gone = random.random(n) < 0.02
    probabilities[gone] = np.nan
    rows = PredictionRows(
        device_id=pa.array(devices.tolist()),
        window_start_us=starts,
        window_seconds=10,
        labels=labels,
        probabilities=probabilities.astype(np.float32),
        in_set=np.nan_to_num(probabilities) >= 0.1,
        kcal_per_min=np.where(gone, np.nan, random.uniform(1.2, 9.0, n)).astype(np.float32),
        coverage=np.where(gone, 0.3, 1.0).astype(np.float32),
        readings_used=np.where(gone, 30, 100).astype(np.int32),
        duplicates=np.zeros(n, np.int32),
        reason=["low coverage" if one else None for one in gone],
        model_version="1",
        energy_version="1",
        last_reading_us=starts + 9_900_000,
        received_us=np.full(n, time.time_ns() // 1000 - 400_000),
        batch_id=1,
    )
    with session(console.settings) as connection:
        record_model_version(
            connection, name=classifier(console), version="1", labels=labels, feature_version=None
        )
        return write_predictions(connection, rows)


def test_a_thousand_watches_live_and_one_of_them(
    running_console: Console, trained: Path, visit: Callable[..., Any]
) -> None:
    console = running_console
    page = visit("bob", "/live")
    said = complaints(page)
    page.get_by_text("No predictions yet").first.wait_for()
    assert write_fleet(console, trained) == WATCHES * WINDOWS
    # what is new comes without a reload
    page.locator(".stat", has_text="Watches").get_by_text("1,000", exact=True).wait_for()
    chart = page.locator("section.panel", has=page.get_by_role("heading", name="Activities of the fleet"))
    chart.locator("svg path[fill] title").first.wait_for(state="attached")
    page.reload()
    predictions = page.locator("section.panel", has=page.get_by_role("heading", name="Predictions"))
    lines = predictions.locator("tbody tr")
    lines.nth(24).wait_for()
    assert lines.count() == 25

    # by watch: ten of them, every window once, over three pages
    prefix = "watch-0042"
    assert sum(name.startswith(prefix) for name in names()) == 10
    field = predictions.get_by_label("Watch begins with")
    field.fill(prefix)
    field.press("Enter")
    holds = """([prefix, besides]) => { const all = [...document.querySelectorAll('section.panel tbody tr')]
        .filter(x => x.children.length === 9).map(x => x.innerText);
        return all.length && all.every(x => x.includes(prefix)) && all[0] !== besides ? all : null; }"""

    def shown(besides: str = "") -> list[str]:
        return list(page.wait_for_function(holds, arg=[prefix, besides]).json_value())

    newest = shown()
    seen = [newest]
    older = predictions.get_by_role("button", name="Older", exact=True)
    newer = predictions.get_by_role("button", name="Newer", exact=True)
    assert newer.is_disabled()
    while older.is_enabled():
        older.click()
        seen.append(shown(seen[-1][0]))
    assert [len(one) for one in seen] == [25, 25, 10 * WINDOWS - 50]
    assert len({tuple(line.split("\t")[:2]) for one in seen for line in one}) == 10 * WINDOWS
    newer.click()
    assert shown(seen[-1][0]) == seen[1]
    newer.click()
    assert shown(seen[1][0]) == newest

    # by doubt, then by activity
    field.fill("")
    field.press("Enter")
    predictions.get_by_text("Confidence under 60%").click()
    page.wait_for_function(
        """() => { const all = [...document.querySelectorAll('section.panel tbody tr')]
            .filter(x => x.children.length === 9).map(x => parseInt(x.children[4].innerText));
            return all.length === 25 && all.every(x => x <= 60); }"""
    )
    predictions.get_by_text("Confidence under 60%").click()
    rare = console.rows(
        "SELECT activity FROM predictions WHERE activity IS NOT NULL GROUP BY 1 ORDER BY count(*)"
    )
    predictions.get_by_label("Activity", exact=True).click()
    page.locator(".q-menu .q-item", has_text=rare[0][0]).click()
    page.wait_for_function(
        """label => { const all = [...document.querySelectorAll('section.panel tbody tr')]
            .filter(x => x.children.length === 9).map(x => x.children[3].innerText);
            return all.length > 0 && all.every(x => x === label); }""",
        arg=rare[0][0],
    )
    fits_a_phone(page)

    page.goto(f"{console.address}/watch")
    page.get_by_role("link", name="watch-00001").click()
    page.wait_for_url("**/watch?device=watch-00001")
    page.locator(".stat", has_text="In the last hour").get_by_text(f"{WINDOWS} windows").wait_for()
    page.get_by_text("The message archive has no heart rate of this watch").wait_for()
    fits_a_phone(page)
    page.goto(f"{console.address}/watch?device=%3Cscript%3Ewindow.owned=1%3C/script%3E")
    page.get_by_text("No window of this watch is stored").wait_for()
    assert page.evaluate("window.owned") is None
    assert said == []


# ---- drift ---------------------------------------------------------------------------------------------------------


def drift_says(page: Any, words: str) -> None:
    page.get_by_role("heading", name="No drift report yet").wait_for()
    assert words in page.inner_text(".notice")


def test_drift_that_cannot_be_judged_yet_says_why(
    running_console: Console, trained: Path, tmp_path: Path, visit: Callable[..., Any]
) -> None:
    console = running_console
    name = classifier(console)
    now = get(console.settings, name, serving(console))
    page = visit("anna", "/drift")
    said = complaints(page)
    drift_says(page, f"version {now.version} has not scored a complete window yet")
    page.get_by_text("No alarms.").wait_for()
    bare = tmp_path / "bare"
    shutil.copytree(trained / "activity", bare, ignore=shutil.ignore_patterns(BASELINE_FILE))
    old = register(console.settings, name, bare, {})
    set_champion(console.settings, old)
    try:
        # of the version that serves now, and not of what was found a moment ago
        page.reload()
        drift_says(page, f"version {old.version} has no drift baseline")
    finally:
        set_champion(console.settings, now)
    assert page.get_by_role("link", name="Go to retraining").count() == 0
    fits_a_phone(page)
    assert said == []
