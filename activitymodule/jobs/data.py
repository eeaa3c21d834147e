"""`activity data`: list, compare and check out the training sets of the lake."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import typer

from activitymodule.jobs import options, output
from activitymodule.learning import snapshot_changes
from activitymodule.settings import settings
from activitymodule.workflows.model_operations import training_sets

SECTION = "Labels and models"

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="List, compare and check out the training sets of the lake, which a retraining makes.",
    epilog="Example: activity data log   |   activity data diff 3f2a 91bc   |   activity data checkout 3f2a set",
)


@app.command(epilog="Example: activity data log --json")
def log(as_json: bool = options.JSON) -> None:
    """All training sets, newest first, and the versions that learned from each."""
    found = training_sets.log(settings())
    if as_json:
        output.print_json(found)
        return
    if not found:
        typer.echo("the lake has no training set yet; `activity retrain` makes the first")
        return
    output.print_table(
        ("snapshot", "at", "windows", "labels", "people", "base", "versions", "note"),
        [
            (
                one.snapshot.snapshot_id[:12],
                one.snapshot.at,
                one.snapshot.windows,
                one.snapshot.labels,
                one.snapshot.people,
                one.snapshot.base[:12],
                "unknown" if one.versions is None else ", ".join(one.versions) or "-",
                "-" if (by := one.snapshot.changed_by_erasure) is None else f"changed by erasure {by}",
            )
            for one in found
        ],
    )


@app.command(epilog="Example: activity data diff 3f2a 91bc")
def diff(
    before: str = typer.Argument(..., help="A snapshot, or the beginning of its id."),
    after: str = typer.Argument(..., help="Another one."),
    as_json: bool = options.JSON,
) -> None:
    """What changed from one training set to another: people, labels, windows."""
    found = training_sets.diff(settings(), before, after)
    if as_json:
        output.print_json(found)
        return
    for line in _lines(found):
        typer.echo(line)


@app.command(
    epilog="Examples: activity data checkout 3f2a set   |   activity train activity --data set --evaluate-only"
)
def checkout(
    snapshot: str = typer.Argument(..., help="A snapshot, or the beginning of its id."),
    folder: Path = typer.Argument(..., help="A new folder."),
    as_json: bool = options.JSON,
) -> None:
    """Write a training set out as Parquet, one row a window, which `activity train --data` takes.

    It keeps activities, people, copies and device models; the weights of labels are a column that a training does not
    read.
    """
    found = training_sets.checkout(settings(), snapshot, folder)
    if as_json:
        output.print_json(found)
        return
    typer.echo(f"{found.windows:,} windows of snapshot {found.snapshot_id[:12]} are in {found.folder}")


def _lines(found: snapshot_changes.SnapshotChanges) -> Iterator[str]:
    yield f"the base is {'the same' if found.same_base else 'another one'}"
    for word, names in (
        ("people added", found.people_added),
        ("people removed", found.people_removed),
        ("activities added", found.labels_added),
        ("activities removed", found.labels_removed),
    ):
        if names:
            yield f"{word}: {output.safe(', '.join(names), 300)} ({len(names)})"
    for word, counts in (("added", found.added), ("removed", found.removed)):
        each = ", ".join(f"{activity or 'no activity'} {count}" for activity, count in counts.items())
        yield f"windows {word}: {sum(counts.values()):,}" + (f" ({each})" if each else "")
    for one in found.relabelled:
        yield f"relabelled: {one.before} to {one.after}, {one.windows} windows"
    yield f"windows with another weight: {found.reweighted:,}; unchanged: {found.unchanged:,}"
