"""Events: what is told of people's activities, what waits to be sent, and the webhooks that get it."""

from __future__ import annotations

from html import escape
from typing import Literal

from activitymodule.store.webhooks import Webhook, list_webhooks
from activitymodule.workflows.events.report import of_store
from activitymodule.workflows.events.webhooks import shown_url
from annotation import context, frame
from annotation.auth import User

_ICON = '<path d="M4 12h4l3-6 3 12 2-6h4"/><path d="M18 4l3 3-3 3"/>'
_KINDS: dict[str, Literal["good", "warn", "bad"]] = {"ok": "good", "failing": "warn", "dead": "bad"}


@frame.page("/events", "Events", role="admin", icon=_ICON, group="Administration", order=85)
async def events(who: User) -> None:
    """The state in one sentence, and every webhook."""
    config = context.settings()
    if not config.events.enabled:
        frame.empty("Events are off", "Set events.enabled to true, and restart the scorer: docs/events.md.")
        return
    report, webhooks = await context.run_read(
        lambda connection: (of_store(config, connection), list_webhooks(connection))
    )
    frame.notice(report.summary[:1].upper() + report.summary[1:], "good" if report.good else "bad")
    frame.stats(
        [
            ("Events told", f"{report.outbox.told:,}", "bouts that began, ended or were corrected"),
            ("Wait to be sent", f"{report.outbox.unsent:,}", f"to the topic {config.events.topic}"),
            ("Sender", "runs" if report.sender else "does not run", "activity events send"),
        ]
    )
    with frame.panel(
        "Webhooks", note="signed requests with the same events; secrets are shown once, when added"
    ):
        if webhooks:
            frame.table(
                ["Webhook", "Events", "State", "Delivered", "Last delivery"],
                [_row(one) for one in webhooks],
                numeric=frozenset({3}),
            )
        else:
            frame.text("No webhooks. This command adds one:", "note")
            frame.text("`activity webhooks add https://example.org/hook --events began,ended`")
    if any(one.dead_at for one in webhooks):
        frame.text(
            "A dead webhook that takes a test again goes on where it stopped: `activity webhooks test ID`",
            "note",
        )


def _row(one: Webhook) -> list[str]:
    trouble = f'<div class="note">{escape(one.error)}</div>' if one.error else ""
    last = frame.moment(one.delivered_at) if one.delivered_at else "-"
    return [
        f"<b>{one.webhook_id}</b> {escape(shown_url(one.url))}{trouble}",
        escape(", ".join(one.events)),
        frame.chip(one.state, _KINDS[one.state]),
        f"{one.delivered:,}",
        last,
    ]
