"""The panels that export labels and spans as files, and import those made elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sized
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from fastapi import HTTPException
from nicegui import events, ui

from activitymodule.errors import ActivityError, DataError
from activitymodule.settings import Settings
from activitymodule.store import import_export, spans
from activitymodule.workflows.labelling import label_rows, span_rows
from annotation import context, frame
from annotation.auth import User
from annotation.bodies import UPLOAD_BYTES
from annotation.limits import Places

T = TypeVar("T")
Rows = TypeVar("Rows", bound=Sized)

_MOST_ROWS = 100_000
# one file after another, in a thread of its own: pages must not wait for it
_PLACES, _threads = Places(4, each=2), ThreadPoolExecutor(1, thread_name_prefix="imports")
_EXPORTS = (("labels.csv", "Export CSV"), ("labels.json", "Export Label Studio JSON"))


def label_files(who: User) -> None:
    """The panel; `who` is the annotator of imported labels that name none."""

    async def take(upload: events.UploadEventArguments) -> None:
        await _import(upload, who)
        # the same file, corrected, may come again
        box.reset()

    with frame.panel("Export and import labels"):
        frame.text("One row per annotator and window.", "note")
        links = "".join(
            f'<a class="button" href="/review/export/{name}" download>{words}</a>' for name, words in _EXPORTS
        )
        ui.html(f'<div class="row-line">{links}</div>', sanitize=False)
        box = _upload("Import CSV or Label Studio JSON", ".csv,.json", take)


def span_files(who: User) -> None:
    """The same for spans of time; `who` is the annotator of those that name none, and may undo an import."""

    async def take(upload: events.UploadEventArguments) -> None:
        await _import_spans(upload, who, zone.value or None)
        box.reset()

    async def undo() -> None:
        undone = await context.run_write(
            lambda connection: spans.undo_last(connection, who.name, origin="import")
        )
        ui.notify(f"{frame.count(undone, 'span')} undone." if undone else "No import of yours to undo.")

    with frame.panel("Export and import spans"):
        frame.text("A diary: one row a span, with the columns `device`, `from`, `to`, `activity`.", "note")
        link = '<a class="button" href="/review/export/spans.csv" download>Export CSV</a>'
        with ui.element("div").classes("row-line"):
            ui.html(link, sanitize=False)
            ui.button("Undo last import", on_click=undo, color=None).classes("button").props("flat")
        zone = ui.input("Time zone of times without an offset", placeholder="Europe/Berlin")
        zone.classes("w-full").style("max-width: 420px").props("maxlength=60")
        box = _upload("Import CSV", ".csv", take)


def _upload(words: str, kinds: str, take: Callable[..., Awaitable[None]]) -> ui.upload:
    box = ui.upload(
        on_upload=take,
        on_rejected=lambda: ui.notify(
            f"Only files of the kind {kinds.replace(',', ' or ')} of at most {UPLOAD_BYTES >> 20} MB can be imported.",
            type="negative",
        ),
        auto_upload=True,
        max_file_size=UPLOAD_BYTES,
        label=words,
    )
    box.props(f'flat bordered accept="{kinds}"').classes("w-full").style("max-width: 420px")
    return box


async def _import(upload: events.UploadEventArguments, who: User) -> None:
    count = await _taken(upload, who, _labels_of, who.name)
    if count is not None:
        _tell(
            f"{count.added} labels added, {count.known} already known; {count.unmatched} belong to windows that were "
            "never queued.",
            count.passed_over,
        )


async def _import_spans(upload: events.UploadEventArguments, who: User, zone: str | None) -> None:
    count = await _taken(upload, who, _spans_of, who.name, zone)
    if count is not None:
        _tell(f"{count.added} spans added, {count.known} already known.", count.passed_over)


def _tell(words: str, passed_over: Mapping[str, int]) -> None:
    left = "; ".join(f"{number} {reason}" for reason, number in passed_over.items())
    ui.notify(f"{words} Passed over: {left}." if left else words, type="positive", multi_line=True)


async def _taken(
    upload: events.UploadEventArguments, who: User, work: Callable[..., T], *arguments: str | None
) -> T | None:
    """What `work(settings, content, *arguments)` returns; None where the file could not be imported, which is shown."""
    name = upload.file.name
    try:
        with _PLACES.one(who.name):
            content = await upload.file.read()
            return await asyncio.get_running_loop().run_in_executor(
                _threads, work, context.settings(), content, *arguments
            )
    except HTTPException as error:
        ui.notify(f"{name}: {error.detail}.", type="negative", multi_line=True)
    except ActivityError as error:
        sentence = f"{name}: {error}. Nothing was imported."
        ui.notify(sentence, type="negative", multi_line=True, timeout=15_000)
    return None


def _labels_of(config: Settings, content: bytes, annotator: str) -> import_export.ImportCount:
    rows = _bounded(label_rows(config, content, annotator), "labels", "activity annotate import")
    return context.write(
        lambda connection: import_export.import_labels(connection, rows, minutes=config.queue.lease_minutes)
    )


def _spans_of(_: Settings, content: bytes, annotator: str, zone: str | None) -> spans.SpanImportCount:
    rows = _bounded(span_rows(content, annotator, zone), "spans", "activity annotate spans import")
    return context.write(lambda connection: spans.import_spans(connection, rows, recorded_by=annotator))


def _bounded(rows: Rows, what: str, command: str) -> Rows:
    if len(rows) > _MOST_ROWS:
        raise DataError(
            f"{len(rows)} {what} exceed the limit of {_MOST_ROWS} a file; divide it, or use `{command}`"
        )
    return rows
