"""Dead letters: messages that could not be used, by reason; what they hold; sending them again."""

from __future__ import annotations

from html import escape

from nicegui import ui

from activitymodule.errors import ActivityError
from activitymodule.store.dead_letters import DeadLetter, Selection, list_dead_letters, summarize_dead_letters
from activitymodule.telemetry.reasons import Reason
from activitymodule.workflows.dead_letters import Resent, send_again
from annotation import context, frame
from annotation.auth import User, must_be_admin

_LETTERS = 20
_LONGEST = 1200  # characters of a message that are shown
_ICON = '<path d="M3 6h18v12H3zM3 7l9 6 9-6M15 15l4 4M19 15l-4 4"/>'
_MEANING = {str(reason): reason.meaning for reason in Reason}


@frame.page("/dead-letters", "Dead letters", icon=_ICON, group="Stream", order=60, assets=("fleet.css",))
async def dead_letters(who: User, reason: str = "") -> None:
    """Counts by reason, then the newest messages (of one reason)."""
    counts = await context.run_read(summarize_dead_letters)
    if not counts:
        frame.empty(
            "No dead letters",
            "All messages could be used so far. A message that cannot be used (not JSON, no stamp, a value out of "
            "range) is kept here with the reason.",
            ("Open Live", "/live"),
        )
        return
    known = {one.reason for one in counts}
    reason = reason if reason in known else ""
    with frame.panel("By reason", note="choose a reason to see its messages"):
        frame.table(
            ["Reason", "Dead letters", "Watches", "Sent again", "First", "Last", "Example"],
            [
                [
                    f'<a href="/dead-letters?reason={escape(one.reason)}"><b>{escape(one.reason)}</b></a>'
                    f'<div class="note">{escape(_MEANING.get(one.reason, ""))}</div>',
                    f"{one.letters:,}",
                    f"{one.devices:,}",
                    f"{one.replayed:,}",
                    frame.moment(one.first_noticed),
                    frame.moment(one.last_noticed),
                    f'<span class="small">{escape((one.an_example or "")[:120])}</span>',
                ]
                for one in counts
            ],
            numeric=frozenset({1, 2, 3}),
        )
    if who.is_admin:
        _replay(who, reason, sum(one.letters - one.replayed for one in counts if reason in ("", one.reason)))
    selection = Selection(reason=reason or None)
    letters = await context.run_read(
        lambda connection: list_dead_letters(connection, selection, limit=_LETTERS)
    )
    title = f"Newest dead letters: {reason}" if reason else "Newest dead letters"
    with frame.panel(title, note=f"the newest {_LETTERS}; activity dead-letters export writes all"):
        if reason:
            ui.html('<a href="/dead-letters">All reasons</a>', sanitize=False)
        for letter in letters:
            _letter(letter)


def _letter(letter: DeadLetter) -> None:
    item = "whole message" if letter.item < 0 else f"item {letter.item}"
    again = ' <span class="chip good">sent again</span>' if letter.replayed_at else ""
    watch = (
        frame.watch_link(letter.device_id) if letter.device_id else '<span class="muted">unknown watch</span>'
    )
    with ui.element("details").classes("version"):
        ui.html(
            f'<span class="chip warn">{escape(letter.reason)}</span><span>{watch}</span>'
            f'<span class="muted">{letter.noticed_at:%m-%d %H:%M:%S}</span>{again}'
            f'<span class="small">{escape((letter.detail or "")[:160])}</span>',
            tag="summary",
            sanitize=False,
        )
        ui.html(
            '<dl class="facts"><dt>Topic, partition, offset</dt><dd class="mono">'
            f"{escape(letter.topic)}/{letter.partition}/{letter.offset}, {item}</dd>"
            f"<dt>Detail</dt><dd>{escape(letter.detail or '-')}</dd></dl>"
            f"{payload_html(letter.payload)}",
            sanitize=False,
        )


def payload_html(payload: bytes | None) -> str:
    """A message as escaped text, or in hexadecimal if it is not text; cut after some length."""
    if payload is None:
        return '<p class="muted">The message had no value.</p>'
    if not payload:
        return '<p class="muted">The message was empty.</p>'
    try:
        text = payload.decode("utf-8")
        binary = any(ord(character) < 32 and character not in "\t\n\r" for character in text)
    except UnicodeDecodeError:
        binary = True
    if binary:
        part = payload[: _LONGEST // 3]
        shown = "\n".join(
            f"{start:06x}  {part[start : start + 16].hex(' '):<47}  {_printable(part[start : start + 16])}"
            for start in range(0, len(part), 16)
        )
        rest = len(payload) - len(part)
    else:
        shown, rest = text[:_LONGEST], max(0, len(text) - _LONGEST)
    more = f'<p class="note">... and {rest:,} more {"bytes" if binary else "characters"}</p>' if rest else ""
    kind = "not text; hexadecimal" if binary else f"{len(payload):,} bytes"
    return f'<p class="note">{kind}</p><pre class="payload">{escape(shown)}</pre>{more}'


def _printable(part: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)


def _replay(who: User, reason: str, waiting: int) -> None:
    what = f"with the reason {reason}" if reason else "of all reasons"
    with frame.panel("Send again", note="after the cause is fixed"):
        frame.text(
            f"{frame.count(waiting, 'dead letter')} {what} not sent again yet. Each message is sent once to its topic, "
            "unchanged. Items that still cannot be used return as dead letters; readings received twice count once."
        )
        said = ui.html("", sanitize=False)
        with ui.element("div").classes("row-line"):
            button = ui.button("Send again", color=None).classes("button primary").props("flat no-caps")
        button.set_enabled(waiting > 0)

        async def send() -> None:
            with ui.dialog() as dialog, ui.card():
                frame.heading("Send these messages again?")
                frame.text(f"Dead letters {what}, to their original topic.")
                with ui.element("div").classes("row-line"):
                    ui.button("Send", on_click=lambda: dialog.submit(True), color=None).classes(
                        "button primary"
                    ).props("flat no-caps")
                    ui.button("Cancel", on_click=lambda: dialog.submit(False), color=None).classes(
                        "button"
                    ).props("flat no-caps")
            if not await dialog:
                return
            button.disable()
            said.set_content('<p class="muted">Sending ...</p>')
            done, words = await _send(who, Selection(reason=reason or None))
            said.set_content(words)
            button.set_enabled(not done)

        button.on_click(send)


async def _send(who: User, selection: Selection) -> tuple[bool, str]:
    """Whether they were sent, and the notice for the page."""
    config = context.settings()

    def work() -> Resent:
        return send_again(config, selection)

    try:
        await must_be_admin(who)
        result = await context.run(work)
    except ActivityError as error:
        return False, f'<div class="notice bad" role="alert">{escape(str(error))}</div>'
    rest = f" {result.left_out:,} not sent: empty, or too long to be kept whole." if result.left_out else ""
    sent = frame.count(result.messages, "message")
    return True, f'<div class="notice good" role="status">{sent} sent again.{rest}</div>'
