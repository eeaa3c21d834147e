"""Annotations out of the store and into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from queued import MINUTES, fill, label, rows, state

from activitymodule.errors import DataError
from activitymodule.lake.labels import exported_text, read_labels, text_of, to_csv
from activitymodule.settings import Settings
from activitymodule.store import answers, import_export, items, labels, leases, review
from activitymodule.store.connection import Connection, connect
from activitymodule.store.import_export import Imported, PassedOver
from activitymodule.store.queries import execute, fetch_all
from activitymodule.telemetry.identifiers import WHOLE_DEVICE_ID

pytestmark = pytest.mark.integration

NOON = datetime(2026, 9, 21, 12, 0, tzinfo=UTC)


def read(text: str) -> import_export.ImportRows:
    return read_labels(text, annotator="outside", window_seconds=10)


def bring(connection: Connection, *given: Imported) -> tuple[int, int, dict[str, int]]:
    count = import_export.import_labels(connection, given, minutes=MINUTES)
    return count.added, count.known, dict(count.passed_over)


def in_force(connection: Connection) -> list[tuple[Any, ...]]:
    return fetch_all(
        connection, "SELECT annotator, label FROM annotations_in_force WHERE answer = 'label' ORDER BY 1, 2"
    )


@pytest.fixture
def row(opened: Any) -> Imported:
    """A row about the one item of the queue."""
    item = items.get_item(opened, fill(opened, 1)[0])
    return Imported(item.device_id, item.window_start, item.window_end, "outside", "walking")


def test_import_adds_once_and_closes_the_item(opened: Any, row: Imported) -> None:
    unknown = replace(row, device_id="elsewhere", window_start=row.window_start - timedelta(days=1))
    first = import_export.import_labels(opened, [row, unknown], minutes=MINUTES)
    again = import_export.import_labels(opened, [row, unknown], minutes=MINUTES)
    assert (first.added, first.known, first.unmatched) == (2, 0, 1)
    assert (again.added, again.known) == (0, 2)
    assert [found for (found,) in rows(opened, "SELECT closed_because FROM queue_items")] == ["answered"]
    assert len(import_export.exported(opened)) == 2


def test_an_older_export_never_reverts_a_correction(opened: Any) -> None:
    (number,) = fill(opened, 1)
    label(opened, number, "anna", "sitting")
    opened.commit()
    old = to_csv(import_export.exported(opened))
    answers.undo(opened, "anna", MINUTES)
    opened.commit()
    assert bring(opened, *read(old)) == (0, 0, {PassedOver.OLDER: 1}), "an undo is a correction too"
    assert state(opened, number) is None
    label(opened, number, "anna", "walking")
    opened.commit()
    before = to_csv(import_export.exported(opened))
    assert bring(opened, *read(old)) == (0, 0, {PassedOver.OLDER: 1})
    assert bring(opened, *read(before)) == (0, 1, {})
    assert to_csv(import_export.exported(opened)) == before


def test_the_time_of_the_answer_decides_in_whatever_order_files_come(opened: Any, row: Imported) -> None:
    first = replace(row, label="sitting", at=NOON)
    second = replace(row, label="walking", at=NOON + timedelta(hours=1))
    third = replace(row, label="standing", at=NOON + timedelta(hours=2))
    assert bring(opened, second) == (1, 0, {})
    assert bring(opened, first) == (0, 0, {PassedOver.OLDER: 1})
    assert in_force(opened) == [("outside", "walking")]
    assert bring(opened, third, first) == (1, 0, {PassedOver.TWICE: 1}), "whatever the order of the rows"
    for _ in range(2):
        assert bring(opened, third)[:2] == (0, 1)
    assert in_force(opened) == [("outside", "standing")]


def test_an_answer_without_a_time_replaces_none_that_has_one(opened: Any, row: Imported) -> None:
    assert bring(opened, row) == (1, 0, {})
    corrected = replace(row, label="sitting")
    assert bring(opened, corrected) == (1, 0, {}), "the same file, corrected, may come again"
    assert bring(opened, corrected) == (0, 1, {})
    assert bring(opened, replace(row, label="standing", at=NOON)) == (1, 0, {}), "a known time is worth more"
    assert bring(opened, corrected) == (0, 0, {PassedOver.NO_TIME: 1})
    assert bring(opened, replace(row, label="standing", at=NOON)) == (0, 1, {})
    assert in_force(opened) == [("outside", "standing")]


def test_imports_of_earlier_versions_have_no_time(opened: Any, row: Imported) -> None:
    execute(
        opened,
        "INSERT INTO annotations (device_id, window_start, window_end, annotator, answer, label, origin) "
        "VALUES (%s, %s, %s, 'outside', 'label', 'walking', 'import')",
        (row.device_id, row.window_start, row.window_end),
    )
    assert bring(opened, row) == (0, 1, {})
    assert bring(opened, replace(row, label="sitting", at=NOON)) == (1, 0, {})
    assert in_force(opened) == [("outside", "sitting")]


def test_an_error_names_the_row_and_nothing_is_added(opened: Any) -> None:
    head = "device_id,window_start,label,created_at\n"
    for bad in ("w,2026-09-21T12:00,<b>,", "w,2026-09-21T12:00,walking,2150-01-01T00:00"):
        with pytest.raises(DataError, match=r"^line 3, column "):
            bring(opened, *read(f"{head}v,2026-09-21T12:00,walking,\n{bad}\n"))
        opened.rollback()
    assert import_export.exported(opened) == []


def test_imported_labels_are_new_and_disputes_stay_decided(opened: Any, row: Imported) -> None:
    began = fetch_all(opened, "SELECT clock_timestamp()")[0][0]
    decision = replace(
        row, annotator="admin", label="sitting", adjudicates=True, at=NOON + timedelta(hours=1)
    )
    earlier = replace(decision, annotator="boss", label="standing", at=NOON)
    bring(opened, decision)
    bring(opened, earlier, replace(row, at=NOON), replace(row, annotator="b", label="sitting", at=NOON))
    opened.commit()
    gold = fetch_all(opened, "SELECT label, labelled_at, answered_at FROM gold_labels")
    assert [(one[0], one[1] > began, one[2] < began) for one in gold] == [("sitting", True, True)]
    assert labels.label_counts(opened, "1", began).new == 1
    assert review.cases(opened) == []


@pytest.fixture
def emptied(opened: Any, fresh_settings: Settings) -> Iterator[Callable[[], Connection]]:
    """Empties the store, and connects to it anew."""
    made: list[Connection] = []

    def empty() -> Connection:
        opened.rollback()
        execute(opened, "TRUNCATE annotations, queue_items, model_versions RESTART IDENTITY CASCADE")
        opened.commit()
        made.append(connect(fresh_settings))
        return made[0]

    yield empty
    for one in made:
        one.close()


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30)
ANSWERS = st.builds(
    Imported,
    device_id=st.from_regex(WHOLE_DEVICE_ID, fullmatch=True),
    window_start=st.datetimes(datetime(2001, 1, 1), datetime(2020, 1, 1), timezones=st.timezones()),
    window_end=st.just(NOON),
    annotator=TEXTS | st.sampled_from(["=cmd", "'+x", "@zoe", "-", "\t"]),
    label=TEXTS.filter(str.strip),
    note=TEXTS | st.sampled_from(["a\rb", "\r\n", '";\t', "'=x", "\u202e"]),
    adjudicates=st.booleans(),
    origin=st.sampled_from(["console", "bulk", "review", "oracle", "import"]),
    seconds=st.none() | st.floats(0, 86_399, width=32),
    suggested=st.none() | TEXTS,
    model_hidden=st.none() | st.booleans(),
    stratum=st.none() | st.sampled_from(["audit", "doubt"]),
    at=st.datetimes(datetime(2001, 1, 1), datetime(2020, 1, 1), timezones=st.timezones()),
    restored=st.just(True),
)


@given(st.lists(ANSWERS, min_size=1, max_size=8))
@hypothesis_settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_answers_come_back(opened: Any, given_rows: list[Imported]) -> None:
    execute(opened, "TRUNCATE annotations")
    import_export.import_labels(opened, given_rows, minutes=MINUTES)
    whole, answered = exported_text(opened, "csv")
    assert read_labels(text_of(whole.encode()), annotator="x", window_seconds=10).passed_over == {}
    execute(opened, "TRUNCATE annotations")
    count = import_export.import_labels(opened, read(whole), minutes=MINUTES)
    assert (count.added, exported_text(opened, "csv")[0]) == (answered, whole)
    opened.rollback()


def test_a_restored_store_exports_the_same_bytes(opened: Any, emptied: Callable[[], Connection]) -> None:
    first, second, third, fourth = fill(opened, 4, required_labels=2)
    execute(
        opened, "UPDATE queue_items SET device_id = '-watch1', stratum = 'audit' WHERE item_id = %s", (first,)
    )
    label(
        opened, first, "@zoe", "Nordic Walking", note='=cmd|"x";\ta\r\nb\rc', seconds=1.25, model_hidden=True
    )
    label(opened, first, "=cmd", "चलना", note="'=x")
    label(opened, second, "+x", "sitting", note="٣ \u202e …")
    label(opened, second, "anna", "walking")
    review.adjudicate(opened, second, "boss", "Sitting", minutes=MINUTES)
    leases.lease_these(opened, [third], "anna", MINUTES)
    answers.answer(opened, third, "anna", "flag", minutes=MINUTES, note=" broken ")
    leases.lease_these(opened, [third, fourth], "bob", MINUTES)
    answers.answer_many(opened, [third, fourth], "bob", "walking", minutes=MINUTES)
    answers.undo(opened, "anna", MINUTES)
    answers.answer(opened, third, "anna", "unsure", minutes=MINUTES)
    opened.commit()
    whole, _ = exported_text(opened, "csv")
    studio, _ = exported_text(opened, "label-studio")
    empty = emptied()
    count = import_export.import_labels(empty, read(whole), minutes=MINUTES)
    empty.commit()
    assert (count.added, count.known, count.passed_over) == (8, 0, {})
    assert exported_text(empty, "csv")[0] == whole
    assert bring(empty, *read(whole)) == (0, 8, {})
    empty.rollback()
    empty = emptied()
    bring(empty, *read(studio))
    # without the readings, which the emptied store does not have
    again = read(exported_text(empty, "label-studio")[0])
    assert [replace(one, origin="import") for one in again] == list(read(studio))
