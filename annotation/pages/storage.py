"""Storage: how much there is of everything that grows, and how long it is kept."""

from __future__ import annotations

from html import escape

from activitymodule.workflows.retention.results import Size, size_text
from activitymodule.workflows.retention.sizes import kept, sizes
from annotation import context, frame
from annotation.auth import User

_ICON = (
    '<ellipse cx="12" cy="5.5" rx="8" ry="3"/><path d="M4 5.5v13c0 1.7 3.6 3 8 3s8-1.3 8-3v-13"/>'
    '<path d="M4 12c0 1.7 3.6 3 8 3s8-1.3 8-3"/>'
)


@frame.page("/storage", "Storage", role="admin", icon=_ICON, group="Administration", order=90)
async def storage(who: User) -> None:
    """The sizes, the largest first, under what they add up to."""
    waiting = frame.text("Loading ...", "muted")
    config = context.settings()
    found = await context.run(sizes, config)
    waiting.delete()
    known = [one for one in found if one.bytes is not None]
    tables = sum(one.bytes or 0 for one in known if one.where.startswith("PostgreSQL"))
    frame.stats(
        [
            ("PostgreSQL", size_text(tables), "all tables, with indexes"),
            (
                "Files",
                size_text(sum(one.bytes or 0 for one in known) - tables),
                "lake, checkpoints, models, logs",
            ),
        ]
    )
    for one in found:
        if one.bytes is None:
            frame.notice(f"{one.where}: {one.note}", "warn")
    with frame.panel("What grows", note="rows are estimates of PostgreSQL"):
        frame.table(
            ["What", "Size", "Rows or files", "Kept", "Setting"],
            [_row(one, kept(config, one)) for one in sorted(known, key=lambda one: -(one.bytes or 0))],
            numeric=frozenset({1, 2}),
        )
    frame.text(
        "The DAG retention deletes every night what is older, and so does this command; with --dry-run it only counts:",
        "note",
    )
    frame.text("`activity retention --dry-run`")


def _row(one: Size, limit: str) -> list[str]:
    return [
        f'<b>{escape(one.name)}</b><div class="note">{escape(one.where)}</div>',
        f'<span class="nowrap">{size_text(one.bytes)}</span>',
        "-" if one.count is None else f"{one.count:,}",
        escape(limit),
        f'<span class="small">{escape(one.setting or "-")}</span>',
    ]
