"""The command `verify` of `activity models`: a version trained again and compared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import typer

from activitymodule.jobs import options, output
from activitymodule.jobs.progress import progress_bars
from activitymodule.settings import settings
from activitymodule.workflows.model_operations import verifying

EPILOG = (
    "Examples: activity models verify 3   |   activity models verify 1 --data wisdm:wisdm_watch.tar.gz --json"
)
NOT_IDENTICAL = 1


def verify(
    version: str = typer.Argument(..., help="A version's number."),
    kind: Literal["activity", "energy"] = typer.Option("activity", "--kind", help="Which model."),
    data: str = typer.Option(
        None, help="Where the recordings are that it learned from, as `activity train --data` takes them."
    ),
    as_json: bool = options.JSON,
) -> None:
    """Train a version again from its lineage, and compare the SHA-256 of its files.

    Exit code 1 where a file differs: then the data, libraries and code that differ are listed, and how far
    predictions moved.
    """
    with progress_bars(hidden=as_json) as begin:
        found = verifying.verify(settings(), kind, version, data=data, begin=begin)
    if as_json:
        output.print_json(found.document())
    else:
        for line in _lines(found):
            typer.echo(line)
    if not found.identical:
        raise typer.Exit(NOT_IDENTICAL)


def _lines(found: verifying.Verification) -> Iterator[str]:
    for one in found.files:
        word = "the same" if one.same else f"differs: {(one.registered or 'none')[:12]} before"
        yield f"  {one.name:<16} {(one.made or 'none')[:12]}  {word}"
    for other in found.differences:
        yield f"  {other.what}: {other.trained} when it was trained, {other.here} here"
    if found.moved is not None:
        changed = (
            "" if found.moved.changed is None else f", another activity for {found.moved.changed:.2%} of them"
        )
        yield (
            f"  predictions of {found.moved.windows:,} windows moved by {found.moved.mean:.2g} on average, "
            f"{found.moved.largest:.2g} at most{changed}"
        )
    yield f"version {found.version}: {'identical' if found.identical else 'not identical'}"
