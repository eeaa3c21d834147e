"""The panel that exports labels as files, and imports labels made elsewhere."""

from __future__ import annotations

from nicegui import events, ui

from activitymodule.errors import ActivityError
from activitymodule.store import import_export
from activitymodule.workflows.labelling import label_rows
from annotation import context, frame
from annotation.auth import User

_IMPORT_BYTES = 20 << 20
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
                f"Only .csv and .json files of at most {_IMPORT_BYTES >> 20} MB can be imported.",
                type="negative",
            ),
            auto_upload=True,
            max_file_size=_IMPORT_BYTES,
            label="Import CSV or Label Studio JSON",
        )
        box.props('flat bordered accept=".csv,.json"').classes("w-full").style("max-width: 420px")


async def _import(upload: events.UploadEventArguments, who: User) -> None:
    config = context.settings()
    try:
        content = await upload.file.read()
        rows = await context.run(label_rows, config, content, who.name)
        count = await context.run_write(
            lambda connection: import_export.import_labels(
                connection, rows, minutes=config.queue.lease_minutes
            )
        )
    except ActivityError as error:
        sentence = f"{upload.file.name}, {error}. Nothing was imported."
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
