"""What `activity cloud` made in an account and is no longer needed: found, and removed. The lake's data stays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from activitymodule.cloud.jobs import Leftover
from activitymodule.cloud.s3 import Bucket
from activitymodule.cloud.targets import target_at
from activitymodule.errors import ActivityError
from activitymodule.settings import Settings
from activitymodule.workflows.cloud import catalogue
from activitymodule.workflows.cloud.running import engine, engines_of
from activitymodule.workflows.cloud.stage import CURRENT, FOLDER, staged, staging

_UPLOAD_AGE = timedelta(days=1)  # a younger one may be going on


def find(
    config: Settings,
    on: str | None = None,
    *,
    staged_too: bool = False,
    tables_too: bool = False,
    now: datetime | None = None,
) -> list[Leftover]:
    """What can be removed, and what is kept because it is in use.

    on : this engine's alone; unless given those of every engine that can read what is staged, and uploads below
    cloud.staging that were not completed within a day
    staged_too : staged files that neither the current version nor a running job needs; tables_too : the tables of Glue
    """
    engines = engines_of(config)
    chosen = {on: engine(config, on)} if on else engines
    found = [one for name in chosen for one in chosen[name].leftovers()]
    if on is None and staging(config).startswith("s3://"):
        before = (now or datetime.now(UTC)) - _UPLOAD_AGE
        found += [
            Leftover("upload", f"{one.key} {one.id}", f"begun {one.begun_at:%Y-%m-%d %H:%M} UTC")
            for one in Bucket(staging(config)).uploads()
            if one.begun_at < before
        ]
    if staged_too:
        found += _files(config)
    if tables_too:
        found += [Leftover("table", name, location) for name, location in catalogue.made(config)]
    return found


def _files(config: Settings) -> list[Leftover]:
    """Staged files that the current version does not name."""
    target = target_at(staging(config))
    if target.size(CURRENT) is None:
        return []
    running = [
        (job.id, one.inputs(job))
        for one in engines_of(config).values()
        for job in one.jobs(1000)
        if not job.ended
    ]
    current = staged(config).model_dump_json()
    found = []
    for name in target.names(FOLDER):
        address = f"{target.address}/{name}"
        if name == CURRENT or address in current:
            continue
        users = [job for job, inputs in running if address in inputs]
        found.append(
            Leftover(
                "staged file", name, "of an earlier version", f"the job {users[0]} needs it" if users else ""
            )
        )
    return found


def remove(
    config: Settings, found: Sequence[Leftover], *, say: Callable[[str], None] = lambda text: None
) -> list[Leftover]:
    """Remove what `find` found and does not keep; those that were removed. What is gone already is no error.

    What cannot be removed stops nothing else; the first such error is raised at the end.
    """
    engines = {"application": "emr", "cluster": "emr-ec2", "batch": "dataproc"}
    removed: list[Leftover] = []
    first: ActivityError | None = None
    for one in found:
        if one.keep:
            continue
        try:
            match one.kind:
                case "staged file":
                    target_at(staging(config)).remove(one.name)
                case "upload":
                    Bucket(staging(config)).abort(*one.name.rsplit(" ", 1))
                case "table":
                    catalogue.drop(config, one.name)
                case kind:
                    engine(config, engines[kind]).remove(one)
        except ActivityError as error:
            say(f"{one.kind} {one.name} stays: {error}")
            first = first or error
            continue
        say(f"{one.kind} {one.name} was removed")
        removed.append(one)
    if first is not None:
        raise first
    return removed
