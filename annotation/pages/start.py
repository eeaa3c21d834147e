"""The start page: how things stand, and what to do next."""

from __future__ import annotations

from html import escape
from typing import Any

from nicegui import ui

from annotation import context, frame
from annotation.auth import User

_STATE = """
SELECT
  (SELECT version FROM model_versions WHERE name = %(name)s ORDER BY registered_at DESC LIMIT 1) AS version,
  (SELECT model_version FROM batches WHERE model_version IS NOT NULL ORDER BY started_at DESC LIMIT 1) AS serving,
  (SELECT max(processed_at) FROM predictions) AS newest,
  clock_timestamp() - (SELECT max(processed_at) FROM predictions) AS age,
  (SELECT count(DISTINCT device_id) FROM predictions
   WHERE window_start > clock_timestamp() - interval '1 hour') AS watches,
  (SELECT count(*) FROM queue_items WHERE closed_at IS NULL AND expires_at > clock_timestamp()) AS waiting,
  (SELECT count(*) FROM queue_items) AS items,
  (SELECT count(*) FROM gold_labels WHERE label IS NOT NULL) AS labels,
  (SELECT count(*) FROM gold_labels WHERE label IS NOT NULL AND labelled_at > coalesce(
     (SELECT max(started_at) FROM retrain_runs WHERE state IN ('promoted', 'rejected')), '-infinity')) AS fresh,
  (SELECT count(*) FROM gold_labels WHERE disputed) AS disputed,
  (SELECT count(*) FROM annotations_in_force a WHERE a.answer = 'label' AND a.annotator = %(who)s
     AND a.created_at > date_trunc('hour', clock_timestamp())) AS mine,
  (SELECT row_to_json(r) FROM (SELECT run_id, state, summary, started_at, step FROM retrain_runs
     ORDER BY started_at DESC LIMIT 1) r) AS run
"""


def _step(number: str, title: str, words: str, action: str, kind: str) -> str:
    mark = {"done": "✓", "next": number, "later": number}[kind]
    return (
        f'<li class="step {kind}"><span class="mark" aria-hidden="true">{mark}</span><div><h3>{escape(title)}'
        f'<span class="sr"> ({ {"done": "done", "next": "do this next", "later": "later"}[kind] })</span></h3>'
        f"<p>{frame.marked(words)}</p>{action}</div></li>"
    )


def _command(line: str) -> str:
    return f'<pre class="command">{escape(line)}</pre>'


def _link(words: str, path: str, primary: bool = True) -> str:
    return f'<a class="button {"primary" if primary else ""}" href="{path}">{escape(words)}</a>'


def steps(state: dict[str, Any], who: User, least_labels: int) -> list[tuple[str, str, str, bool]]:
    """What there is to do, in its order: title, words, action (HTML), done."""
    flowing = state["age"] is not None and state["age"].total_seconds() < 120
    fresh, waiting = state["fresh"], state["waiting"]
    return [
        (
            "A champion serves",
            f"Version {state['serving'] or state['version']} scores the windows."
            if state["version"]
            else "There is no model yet. Train one on people synthesised from the reference statistics, in about a "
            "minute, or on recordings of your own.",
            "" if state["version"] else _command("activity train both --data synthetic"),
            bool(state["version"]),
        ),
        (
            "Readings arrive",
            f"{state['watches']:,} watches in the last hour; the newest window was written just now."
            if flowing
            else (
                f"The last window was written {state['newest']:%Y-%m-%d %H:%M} UTC; nothing has come since. "
                if state["newest"]
                else "No window has been scored yet. "
            )
            + "Start the scoring job, and a synthesised fleet where you have no watches; each in its own terminal.",
            _link("See them live", "/live", False)
            if flowing
            else _command("activity score\nactivity generate"),
            flowing,
        ),
        (
            "Windows wait to be labelled",
            f"{waiting:,} windows wait for an answer."
            if waiting
            else (
                "The queue is empty: everything was answered. New windows come as the budget of the hour allows."
                if state["items"]
                else "The queue is empty. The scoring job fills it as readings arrive; nothing else is needed."
            ),
            _link("Label them", "/annotate") if waiting else "",
            not waiting and bool(state["items"]),
        ),
        (
            "Labels are put to use",
            f"{fresh:,} new gold labels since the last retraining; {least_labels} make the next one worth while."
            + (
                " A challenger is trained and promoted only if it is honestly better."
                if fresh >= least_labels
                else f" {least_labels - fresh:,} to go."
            ),
            (_link("Retrain", "/models") + _command("activity retrain"))
            if fresh >= least_labels and who.is_admin
            else "",
            False,
        ),
    ]


@frame.page("/", "Start")
async def start(who: User) -> None:
    config = context.settings()
    state = (await context.run_query(_STATE, {"name": config.registry.classifier, "who": who.name}))[0]
    todo = steps(state, who, config.learning.min_labels)
    following = next((i for i, step in enumerate(todo) if not step[3]), len(todo))
    with ui.element("div").classes("start-top"):
        frame.text(f"Good to see you, {who.name}.", "hello")
        frame.stats(
            [
                ("Waiting to be labelled", f"{state['waiting']:,}", f"of {state['items']:,} ever queued"),
                ("Yours this hour", f"{state['mine']:,}", f"goal {config.console.items_per_hour_goal}"),
                ("Gold labels", f"{state['labels']:,}", f"{state['fresh']:,} new since the last retraining"),
                ("Watches, last hour", f"{state['watches']:,}", "with at least one window"),
            ]
        )
    with frame.panel("What to do next"):
        ui.html(
            '<ol class="steps">'
            + "".join(
                _step(
                    str(i + 1),
                    title,
                    words,
                    action,
                    "done" if done else "next" if i == following else "later",
                )
                for i, (title, words, action, done) in enumerate(todo)
            )
            + "</ol>",
            sanitize=False,
        )
    if who.is_admin and state["disputed"]:
        frame.notice(
            f"{state['disputed']:,} windows are disputed: people gave them different labels. Settle them under Review.",
            "warn",
        )
    run = state["run"]
    if run:
        with frame.panel("The last retraining"):
            kind = {"promoted": "good", "failed": "bad", "rejected": "warn"}.get(run["state"], "")
            ui.html(
                f"<p>{frame.chip(run['state'], kind)} {escape(run['summary'] or run['step'])} "  # type: ignore[arg-type]
                f'<span class="note">{escape(run["run_id"])}</span></p>',
                sanitize=False,
            )
    with frame.panel("Keys"):
        ui.html(
            "<p>On the Annotate page: <kbd>1</kbd> to <kbd>9</kbd> choose a label and go on, <kbd>z</kbd> takes "
            "back, <kbd>s</kbd> skips, <kbd>u</kbd> unsure, <kbd>f</kbd> flags, <kbd>?</kbd> shows all keys.</p>",
            sanitize=False,
        )
