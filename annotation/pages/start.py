"""The start page: the state of the whole loop, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Literal

from nicegui import ui

from activitymodule.store.retraining import Run, runs
from activitymodule.store.views import Overview, overview
from annotation import context, frame
from annotation.auth import User

_FLOWING_SECONDS = 120  # readings count as arriving if a window was written that lately
_ICON = '<path d="M3 11 12 4l9 7M5.5 9.5V20h13V9.5M10 20v-6h4v6"/>'
_RUN_CHIPS: dict[str, Literal["good", "bad", "warn"]] = {
    "promoted": "good",
    "failed": "bad",
    "rejected": "warn",
}


@dataclass(frozen=True)
class Step:
    """One thing to do. text : `like this` becomes code; action : HTML of a link or command."""

    name: str
    title: str
    text: str
    action: str
    done: bool


def steps(state: Overview, who: User, least_labels: int) -> list[Step]:
    """What there is to do, in its order."""
    return [_train(state), _stream(state), _label(state), _retrain(state, who, least_labels)]


def _train(state: Overview) -> Step:
    if state.trained_version:
        serving = state.serving_version or state.trained_version
        return Step("train", "Train a model", f"Model version {serving} scores the windows.", "", True)
    return Step(
        "train",
        "Train a model",
        "There is no model yet. Train one on synthesised data, which takes about a minute, or on recordings of "
        "your own.",
        _command("activity train both --data synthetic"),
        False,
    )


def _stream(state: Overview) -> Step:
    if state.age_seconds is not None and state.age_seconds < _FLOWING_SECONDS:
        return Step(
            "stream",
            "Stream readings",
            f"{state.watches:,} {'watch' if state.watches == 1 else 'watches'} sent readings in the last hour.",
            _link("Open Live", "/live", primary=False),
            True,
        )
    before = (
        f"No window was written since {state.newest_at:%Y-%m-%d %H:%M} UTC. "
        if state.newest_at
        else "No window has been scored yet. "
    )
    return Step(
        "stream",
        "Stream readings",
        f"{before}Start the scoring job and, if you have no watches, a synthesised fleet, each in a terminal of its "
        "own.",
        _command("activity score\nactivity generate"),
        False,
    )


def _label(state: Overview) -> Step:
    if state.waiting:
        text = f"Annotation queue: {frame.count(state.waiting, 'window')}."
    elif state.queued:
        text = "All queued windows are answered. The scorer adds new ones within its hourly budget."
    else:
        text = "The annotation queue is empty. The scorer fills it while readings arrive."
    return Step(
        "label",
        "Label queued windows",
        text,
        _link("Open Annotate", "/annotate") if state.waiting else "",
        not state.waiting and bool(state.queued),
    )


def _retrain(state: Overview, who: User, least_labels: int) -> Step:
    text = f"{state.new_gold_labels:,} of {least_labels:,} new gold labels since the last retraining. "
    due = state.new_gold_labels >= least_labels
    text += (
        "A retraining trains a challenger and promotes it only if it is significantly better."
        if due
        else "Retraining starts when there are enough."
    )
    action = _link("Open Models", "/models") + _command("activity retrain") if due and who.is_admin else ""
    return Step("retrain", "Retrain the model", text, action, False)


def _command(line: str) -> str:
    return f'<pre class="command">{escape(line)}</pre>'


def _link(words: str, path: str, *, primary: bool = True) -> str:
    return f'<a class="button {"primary" if primary else ""}" href="{path}">{escape(words)}</a>'


def _step_html(place: int, step: Step, kind: Literal["done", "next", "later"]) -> str:
    spoken = {"done": "done", "next": "next", "later": "later"}[kind]
    return (
        f'<li class="step {kind}" data-step="{step.name}"><span class="mark" aria-hidden="true">'
        f"{'✓' if step.done else place}</span><div><h3>{escape(step.title)}"
        f'<span class="sr"> ({spoken})</span></h3><p>{frame.marked(step.text)}</p>{step.action}</div></li>'
    )


@frame.page("/", "Start", icon=_ICON, order=0)
async def start(who: User) -> None:
    """Figures, the next step, the last retraining."""
    config = context.settings()
    state = await context.run_read(
        lambda connection: overview(connection, config.registry.classifier, who.name)
    )
    last = await context.run_read(lambda connection: runs(connection, limit=1))
    todo = steps(state, who, config.learning.min_labels)
    following = next((i for i, step in enumerate(todo) if not step.done), len(todo))
    frame.stats(
        [
            ("In the queue", f"{state.waiting:,}", f"of {state.queued:,} windows ever queued"),
            (
                "Your labels this hour",
                f"{state.labelled_this_hour:,}",
                f"goal {config.console.items_per_hour_goal}",
            ),
            ("Gold labels", f"{state.gold_labels:,}", f"{state.new_gold_labels:,} since the last retraining"),
            ("Watches", f"{state.watches:,}", "in the last hour"),
        ]
    )
    if who.is_admin and state.disputed:
        frame.notice(
            f"Annotators disagree on {frame.count(state.disputed, 'window')}. Open Review to decide.",
            "warn",
        )
    with frame.panel("Next steps"):
        ui.html(
            '<ol class="steps">'
            + "".join(
                _step_html(i + 1, step, "done" if step.done else "next" if i == following else "later")
                for i, step in enumerate(todo)
            )
            + "</ol>",
            sanitize=False,
        )
    for run in last:
        _last_retraining(run)
    with frame.panel("Keyboard shortcuts"):
        ui.html(
            "<p>On Annotate: <kbd>1</kbd> to <kbd>9</kbd> choose a label, <kbd>z</kbd> undo, <kbd>s</kbd> skip, "
            "<kbd>u</kbd> unsure, <kbd>f</kbd> flag, <kbd>?</kbd> all keys.</p>",
            sanitize=False,
        )


def _last_retraining(run: Run) -> None:
    with frame.panel("Last retraining", note=run.run_id):
        ui.html(
            f"<p>{frame.chip(run.state, _RUN_CHIPS.get(run.state, ''))} {escape(run.summary or run.step)}</p>",
            sanitize=False,
        )
