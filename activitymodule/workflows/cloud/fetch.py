"""Raw data of a web archive into a folder or a bucket; what was interrupted goes on where it was."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from activitymodule.cloud.download import Patience, Web
from activitymodule.cloud.targets import target_at
from activitymodule.errors import ActivityError
from activitymodule.settings import Settings
from activitymodule.workflows.cloud import manifest
from activitymodule.workflows.cloud.one_file import FileResult, OneFile, Progress


@dataclass(frozen=True)
class Report:
    """What a run fetched. fetched, kept, failed : files; bytes : from the web; seconds : of the whole run."""

    source: str
    to: str
    fetched: int
    kept: int
    failed: int
    bytes: int
    seconds: float
    files: tuple[FileResult, ...]


def fetch(
    config: Settings,
    source: str,
    to: str | None = None,
    people: list[str] | None = None,
    *,
    progress: Progress | None = None,
    watch: Callable[[Callable[[], bool]], None] = lambda running: None,
) -> tuple[Report, ActivityError | None]:
    """Fetch the files of a source's manifest into `to`, several at once; zips are opened, a member a file.

    to : a folder, s3:// or gs://; unless given raw/SOURCE of cloud.staging, or of the lake where that is not set
    people : only these; progress : counts as it goes
    watch : called once the work runs, with a function that is true as long as it does
    A file that cannot be had is in the report and stops no other; the first one's error comes beside the report.
    Raises ConfigError or DataError for a wrong manifest or target.
    """
    began = time.monotonic()
    limits = config.fetch
    patience = Patience(limits.attempts, limits.stall_seconds, limits.first_wait_seconds)
    web = Web(patience, threading.Event(), limits.files_at_once)
    target = target_at(to or f"{config.cloud.staging or config.lake.folder}/raw/{source}")
    entries = manifest.chosen(manifest.read(config, source, web), people)
    counts = progress or Progress()
    counts.files = len(entries)
    counts.total = sum(entry.size or 0 for entry in entries)
    with ThreadPoolExecutor(limits.files_at_once) as pool:
        tasks = [pool.submit(OneFile(web, target, entry, people, counts).fetch) for entry in entries]
        try:
            watch(lambda: not all(task.done() for task in tasks))
            results = [task.result() for task in tasks]
        except BaseException:
            web.stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    files = tuple(result for result, _ in results)
    statuses = [result.status for result in files]
    report = Report(
        source=source,
        to=target.address,
        fetched=statuses.count("fetched"),
        kept=statuses.count("kept"),
        failed=statuses.count("failed"),
        bytes=counts.from_web,
        seconds=time.monotonic() - began,
        files=files,
    )
    return report, _summary(report, next((error for _, error in results if error is not None), None))


def _summary(report: Report, first: ActivityError | None) -> ActivityError | None:
    if first is None:
        return None
    return type(first)(
        f"{report.failed} of {len(report.files)} files could not be fetched, first: {first}. The others are whole; "
        "running the command again fetches what is missing"
    )
