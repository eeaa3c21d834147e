"""What the pages of days, personas and reports read: exports and nothing else, so that they answer while Spark, Kafka
and Airflow are down."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from activitymodule.lake.exports import exports_folder, read_export
from annotation import context, frame


async def rows(name: str, *, where: pc.Expression | None = None) -> pa.Table | None:
    """An export's rows, read off the event loop; None where there is no such export yet."""
    return await context.run(lambda: read_export(exports_folder(context.settings()), name, where=where))


def nothing_yet(title: str, words: str) -> None:
    """The page of an export that was not made yet."""
    frame.empty(title, f"{words} This command makes them: `activity report`")
