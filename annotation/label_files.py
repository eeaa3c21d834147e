"""The panel that exports labels as files, and imports labels made elsewhere."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from fastapi import HTTPException
from nicegui import events, ui

from activitymodule.errors import ActivityError, DataError
from activitymodule.settings import Settings
from activitymodule.store import import_export
from activitymodule.workflows.labelling import label_rows
from annotation import context, frame
from annotation.auth import User
from annotation.bodies import UPLOAD_BYTES
from annotation.limits import Places

_MOST_LABELS = 100_000
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
        box = ui.upload(
            on_upload=take,
            on_rejected=lambda: ui.notify(
                f"Only .csv and .json files of at most {UPLOAD_BYTES >> 20} MB can be imported.",
                type="negative",
            ),
            auto_upload=True,
            max_file_size=UPLOAD_BYTES,
            label="Import CSV or Label Studio JSON",
        )
        box.props('flat bordered accept=".csv,.json"').classes("w-full").style("max-width: 420px")


async def _import(upload: events.UploadEventArguments, who: User) -> None:
    name = upload.file.name
    try:
        with _PLACES.one(who.name):
            content = await upload.file.read()
            count = await asyncio.get_running_loop().run_in_executor(
                _threads, _labels_of, context.settings(), content, who.name
            )
    except HTTPException as error:
        ui.notify(f"{name}: {error.detail}.", type="negative", multi_line=True)
    except ActivityError as error:
        sentence = f"{name}: {error}. Nothing was imported."
        ui.notify(sentence, type="negative", multi_line=True, timeout=15_000)
    else:
        left = "; ".join(f"{number} {reason}" for reason, number in count.passed_over.items())
        passed_over = f" Passed over: {left}." if left else ""
        ui.notify(
            f"{count.added} labels added, {count.known} already known; {count.unmatched} belong to windows that were "
            f"never queued.{passed_over}",
            type="positive",
            multi_line=True,
        )


def _labels_of(config: Settings, content: bytes, annotator: str) -> import_export.ImportCount:
    rows = label_rows(config, content, annotator)
    if len(rows) > _MOST_LABELS:
        raise DataError(
            f"{len(rows)} labels exceed the limit of {_MOST_LABELS} a file; divide it, or use "
            "`activity annotate import`"
        )
    return context.write(
        lambda connection: import_export.import_labels(connection, rows, minutes=config.queue.lease_minutes)
    )
