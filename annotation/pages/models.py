"""Models: versions, how good each is and where it comes from, who was let in or turned away and why, retraining."""

from __future__ import annotations

import json
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

from nicegui import ui

from activitymodule.errors import ActivityError, ServiceUnavailableError
from activitymodule.models.export import CARD_FILE, LINEAGE_FILE, METRICS_FILE
from activitymodule.registry.versions import ModelVersion, fetch, versions
from activitymodule.store.promotions import Promotion, promotions
from activitymodule.store.retraining import Run, runs
from activitymodule.workflows.promotion import promote_by_hand, roll_back
from annotation import charts, context, frame
from annotation.api import retraining
from annotation.auth import User, must_be_admin
from annotation.pages.live import sheet

_SHOWN = 12
_BUSY_SECONDS = 1.5
_WORST_REASON = 500


@frame.page("/models", "Models")
async def models(who: User) -> None:
    sheet()
    waiting = frame.text("Asking the registry ...", "muted")
    settings = context.settings()
    try:
        found = {
            kind: await context.run(versions, settings, name)
            for kind, name in (
                ("activity", settings.registry.classifier),
                ("energy", settings.registry.regressor),
            )
        }
    except ServiceUnavailableError as error:
        waiting.delete()
        frame.notice(str(error), "bad")
        return
    waiting.delete()
    if not found["activity"]:
        frame.empty(
            "No models yet",
            "Train the first on people synthesised from the reference statistics, in about a minute: "
            "`activity train both --data synthetic`. The first version serves at once.",
            ("Start", "/"),
        )
        return
    history = await context.run_read(
        lambda connection: promotions(connection, name=settings.registry.classifier, limit=200)
    )
    by_version: dict[str, list[Promotion]] = {}
    for entry in history:
        by_version.setdefault(entry.version, []).append(entry)
    await _retraining(who)
    for kind, title in (("activity", "Activity classifier"), ("energy", "Energy regressor")):
        held = found[kind]
        if not held:
            continue
        with ui.element("div").classes("row-line"):
            frame.heading(title)
            ui.html(f"{len(held)} version{'s' if len(held) > 1 else ''}", tag="span", sanitize=False).classes(
                "note"
            )
            if who.is_admin and any("previous" in v.aliases for v in held):
                _act_button("Roll back", kind, None, who)
        for version in held[:_SHOWN]:
            _version(kind, version, by_version.get(version.version, []) if kind == "activity" else [], who)
        if len(held) > _SHOWN:
            frame.text(f"... and {len(held) - _SHOWN} older ones: `activity models list`", "note")
    _history(history)


def _aliases(version: ModelVersion) -> str:
    kinds: dict[str, Any] = {"champion": "good", "challenger": "warn"}
    return " ".join(frame.chip(alias, kinds.get(alias, "")) for alias in version.aliases)


def _version(kind: str, version: ModelVersion, history: list[Promotion], who: User) -> None:
    """A version to be opened; its files are fetched when it is."""
    made = f"{version.created_at:%Y-%m-%d %H:%M}" if version.created_at else ""
    last = history[0] if history else None
    word = frame.chip(last.act, "bad" if last.act == "rejected" else "good") if last else ""
    opened = "champion" in version.aliases and kind == "activity"
    with ui.element("details").classes("version") as block:
        if opened:
            block.props("open")
        ui.html(
            f'<b>Version {escape(version.version)}</b>{_aliases(version)}<span class="muted">{made}</span>'
            f'<span class="note">{escape(version.tags.get("data", ""))}</span>{word}',
            tag="summary",
            sanitize=False,
        )
        inside = ui.element("div")
        with inside:
            ui.html('<p class="muted">Fetching its files ...</p>', sanitize=False)
    done = {"shown": False}

    async def show() -> None:
        if done["shown"]:
            return
        done["shown"] = True
        try:
            folder = await context.run(fetch, context.settings(), version)
            files = await context.run(_files, folder)
        except ActivityError as error:
            inside.clear()
            with inside:
                frame.notice(str(error), "bad")
            return
        inside.clear()
        with inside:
            _inside(kind, version, files, history, who)

    block.on("toggle", show)
    if opened:
        ui.timer(0.05, show, once=True)


def _files(folder: Path) -> dict[str, dict[str, Any]]:
    names = {"metrics": METRICS_FILE, "card": CARD_FILE, "lineage": LINEAGE_FILE}
    return {key: json.loads((folder / name).read_text()) for key, name in names.items()}


def _share(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, int | float) else "-"


def _inside(
    kind: str, version: ModelVersion, files: dict[str, Any], history: list[Promotion], who: User
) -> None:
    metrics, card, lineage = files["metrics"], files["card"], files["lineage"]
    for entry in history[:3]:
        _verdict(entry)
    if kind == "activity":
        over = metrics.get("macro_f1_over_people") or {}
        span = f"{over['low']:.3f} to {over['high']:.3f} over people" if "low" in over else "people held out"
        frame.stats(
            [
                ("Macro-F1", _share(metrics.get("macro_f1")), span),
                ("Smoothed", _share(metrics.get("smoothed_macro_f1")), "macro-F1 with the last minute"),
                ("Accuracy", _share(metrics.get("accuracy")), ""),
                ("Calibration error", _share(metrics.get("ece")), "0: as sure as it is right"),
                ("Conformal sets", _share(metrics.get("conformal_coverage")), "hold the truth so often"),
            ]
        )
        with ui.element("div").classes("two"):
            with ui.element("div"):
                frame.heading("What is taken for what", 3)
                ui.html(
                    charts.confusion(card["labels"], metrics.get("confusion", []), title="Confusion matrix"),
                    sanitize=False,
                )
            points = reliability_points(metrics)
            with ui.element("div"):
                frame.heading("Is it as sure as it is right?", 3)
                if points:
                    ui.html(charts.reliability(points, title="Reliability curve"), sanitize=False).style(
                        "max-width: 340px"
                    )
                else:
                    frame.text("Its figures hold no reliability curve.", "muted")
        _per_label(metrics)
    else:
        frame.stats(
            [
                ("Mean absolute error", _share(metrics.get("mae")), "kcal/min"),
                ("Root mean square error", _share(metrics.get("rmse")), "kcal/min"),
                ("R2", _share(metrics.get("r2")), ""),
            ]
        )
    frame.heading("Where it comes from", 3)
    ui.html(_lineage(version, card, lineage), sanitize=False)
    if who.is_admin and "champion" not in version.aliases:
        with ui.element("div").classes("row-line"):
            _act_button("Promote", kind, version, who)


def reliability_points(metrics: dict[str, Any]) -> list[tuple[float, float, int]]:
    """(mean confidence, share right, windows) of each bin that has windows, from a version's figures."""
    points = []
    for one in metrics.get("reliability") or []:
        if isinstance(one, dict) and one.get("windows"):
            points.append((float(one["confidence"]), float(one["accuracy"]), int(one["windows"])))
    return points


def _per_label(metrics: dict[str, Any]) -> None:
    rows = []
    for label, one in (metrics.get("per_label") or {}).items():
        rows.append(
            [
                frame.activity_chip(label),
                _share(one.get("precision")),
                _share(one.get("recall")),
                _share(one.get("f1")),
                f"{one.get('windows', one.get('support', 0)):,}",
            ]
        )
    if rows:
        frame.table(
            ["Activity", "Precision", "Recall", "F1", "Windows"], rows, numeric=frozenset({1, 2, 3, 4})
        )


def _lineage(version: ModelVersion, card: dict[str, Any], lineage: dict[str, Any]) -> str:
    data, code = lineage.get("data", {}), lineage.get("code", {})
    parents = ", ".join(f"{name} {number}" for name, number in (lineage.get("parents") or {}).items())
    facts = [
        ("Trained", lineage.get("trained_at", "-")),
        (
            "On",
            f"{data.get('source', '-')}: {data.get('windows', 0):,} windows of {data.get('people', '?')} people",
        ),
        ("Data", str(data.get("sha256", ""))[:16]),
        ("Model file", str(lineage.get("model", {}).get("sha256", ""))[:16]),
        ("Configuration", str(lineage.get("config", {}).get("sha256", ""))[:16]),
        ("Made with", parents or "-"),
        ("Code", f"{code.get('version', '')} ({code.get('revision') or 'no checkout'})"),
        ("Takes", f"{len(card.get('feature_names', []))} features, version {card.get('features_version')}"),
        ("Run", version.run_id[:16]),
    ]
    return (
        '<dl class="facts">'
        + "".join(
            f'<dt>{escape(name)}</dt><dd class="mono small">{escape(str(value))}</dd>'
            for name, value in facts
        )
        + "</dl>"
    )


# ---- who was let in, and why ----------------------------------------------------------------------------------------


def _verdict(entry: Promotion) -> None:
    """Why this version was or was not let in: the sentence, and the figures of the gate."""
    kind: Any = "bad" if entry.act == "rejected" else "good"
    frame.notice(
        f"{entry.act.capitalize()} on {entry.at:%Y-%m-%d %H:%M} UTC by {entry.by_whom}: {entry.why[:_WORST_REASON]}",
        kind,
    )
    rows = verdict_rows(entry.verdict)
    if rows:
        with ui.element("details"):
            ui.html("What the gate measured", tag="summary", sanitize=False)
            frame.table(["Figure", "Value"], rows)


def verdict_rows(verdict: dict[str, Any]) -> list[list[str]]:
    """Figures of a verdict as rows, whatever the gate puts into it; nested ones by their path."""
    rows: list[list[str]] = []

    def walk(path: str, value: Any) -> None:
        if len(rows) >= 60:
            return
        if isinstance(value, dict):
            for key, one in value.items():
                walk(f"{path} {key}".strip(), one)
        elif isinstance(value, list):
            text = ", ".join(str(one) for one in value if not isinstance(one, dict | list))
            if text:
                rows.append([escape(path.replace("_", " ")), escape(text[:300])])
        elif isinstance(value, float):
            rows.append([escape(path.replace("_", " ")), f"{value:.4g}"])
        elif value is not None:
            rows.append([escape(path.replace("_", " ")), escape(str(value)[:300])])

    walk("", verdict)
    return rows


def _history(history: list[Promotion]) -> None:
    with frame.panel("Who was let in, and who was not", note="newest first"):
        if not history:
            frame.text(
                "No challenger has come to the gate yet, and nobody has promoted by hand. The first version of a model "
                "serves without being asked."
            )
            return
        frame.table(
            ["When", "Version", "Before", "What", "By", "Why"],
            [
                [
                    f"{one.at:%Y-%m-%d %H:%M}",
                    escape(one.version),
                    escape(one.before or "-"),
                    frame.chip(one.act, "bad" if one.act == "rejected" else "good"),
                    escape(one.by_whom),
                    f'<span class="small">{escape(one.why[:300])}</span>',
                ]
                for one in history[:30]
            ],
            numeric=frozenset({1, 2}),
        )


def _act_button(what: str, kind: str, version: ModelVersion | None, who: User) -> None:
    """Promote a version, or roll back: asks for a reason, does it as `activity models` does."""
    button = ui.button(what, color=None).classes("button small").props("flat no-caps")

    async def ask() -> None:
        target = f"version {version.version}" if version else "the version that served before"
        with ui.dialog() as dialog, ui.card().style("min-width: min(420px, 90vw)"):
            frame.heading(f"{what}: {target}")
            frame.text(
                "The stream takes it up with its next batch, without a pause. It is loaded and tried first; one that "
                "does not fit is refused. Your name and reason are recorded."
            )
            reason = ui.input("Why").props("outlined dense autofocus maxlength=500").classes("w-full")
            with ui.element("div").classes("row-line"):
                ui.button(what, on_click=lambda: dialog.submit(reason.value or ""), color=None).classes(
                    "button primary"
                ).props("flat no-caps")
                ui.button("Leave it", on_click=lambda: dialog.submit(None), color=None).classes(
                    "button"
                ).props("flat no-caps")
        why = await dialog
        if why is None:
            return
        if not why.strip():
            ui.notify("Say why in a few words; it is kept with the version.", type="warning")
            return
        button.disable()
        settings = context.settings()
        work: Callable[[], ModelVersion]
        if version is None:
            work = lambda: roll_back(settings, kind, by_whom=who.name, why=why.strip())  # noqa: E731
        else:
            number = version.version
            work = lambda: promote_by_hand(settings, kind, number, by_whom=who.name, why=why.strip())  # noqa: E731
        try:
            await must_be_admin(who)
            now = await context.run(work)
        except ActivityError as error:
            button.enable()
            ui.notify(str(error), type="negative", multi_line=True, timeout=10_000)
            return
        ui.notify(f"Version {now.version} serves from the next batch on.", type="positive")
        ui.navigate.reload()

    button.on_click(ask)


# ---- retraining -----------------------------------------------------------------------------------------------------


async def _retraining(who: User) -> None:
    ui.html("", sanitize=False).props('id="retrain"')
    with frame.panel(
        "Retraining", note="on what people labelled; only an honestly better challenger is let in"
    ):
        body = ui.html('<p class="muted">Looking ...</p>', sanitize=False).classes("w-full")
        if who.is_admin:
            with ui.element("div").classes("row-line"):
                button = ui.button("Retrain now", color=None).classes("button primary").props("flat no-caps")
                force = ui.checkbox("even without new labels")
                dry_run = ui.checkbox("only try, move nothing")
    begun: dict[str, Any] = {"run": None, "said": ""}

    async def refresh() -> None:
        latest = await context.run_read(lambda connection: runs(connection, limit=6))
        own = begun["run"]
        starting = own is not None and retraining.starting(own) and all(run.run_id != own for run in latest)
        content = _runs(latest, starting, begun["said"])
        if content != begun.get("content"):
            begun["content"] = content
            body.set_content(content)
        if who.is_admin:
            busy = starting or bool(latest and latest[0].state == "running")
            button.set_enabled(not busy)

    async def begin() -> None:
        settings = context.settings()
        button.disable()
        try:
            await must_be_admin(who)
            made = await context.run(
                lambda: retraining.begin(
                    settings,
                    by_whom=who.name,
                    why=f"asked for by {who.name} in the console",
                    force=bool(force.value),
                    dry_run=bool(dry_run.value),
                )
            )
        except ActivityError as error:
            ui.notify(str(error), type="warning", multi_line=True)
            button.enable()
            return
        begun["run"] = made.run_id
        begun["said"] = "Begun through Airflow." if made.through == "airflow" else "Begun on this machine."
        if made.held_back:
            ui.notify(f"{made.run_id}: {made.held_back}.", type="warning", multi_line=True, timeout=30_000)
        await refresh()

    if who.is_admin:
        button.on_click(begin)
    await refresh()
    ui.timer(_BUSY_SECONDS, refresh)


_STATES: dict[str, Any] = {"promoted": "good", "rejected": "bad", "failed": "bad", "waiting": "warn"}


def _runs(latest: list[Run], starting: bool, said: str) -> str:
    parts = []
    if starting:
        parts.append(f'<p class="muted">{escape(said)} It starts; the first step shows in some seconds.</p>')
    now = next((run for run in latest if run.state == "running"), None)
    if now is not None:
        parts.append(
            f'<p><b>{escape(now.step.capitalize())}</b> <span class="muted">by {escape(now.started_by)}: '
            f"{escape(now.why)}</span></p>"
            f'<div class="progress" role="progressbar" aria-label="Retraining" aria-valuemin="0" aria-valuemax="100" '
            f'aria-valuenow="{now.progress * 100:.0f}"><div style="width:{now.progress * 100:.0f}%"></div></div>'
            f'<p class="note">{escape(now.summary or "")}</p>'
        )
    rows = [
        [
            f"{run.started_at:%Y-%m-%d %H:%M}",
            frame.chip(run.state, _STATES.get(run.state, "")),
            escape(run.started_by),
            f'<span class="small">{escape((run.summary or run.why)[:300])}</span>',
            escape(run.challenger or "-"),
        ]
        for run in latest
        if run is not now
    ]
    if rows:
        parts.append(
            frame.table_html(
                ["Begun", "State", "By", "What came of it", "Challenger"], rows, numeric=frozenset({4})
            )
        )
    elif not parts:
        parts.append(
            "<p>None so far. Once there are labels enough, it runs by the schedule, by <code>activity retrain</code>, "
            "or by the button.</p>"
        )
    return "".join(parts)
