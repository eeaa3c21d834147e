"""Models: retraining, the versions with their evaluation and lineage, promotion and roll-back."""

from __future__ import annotations

from html import escape
from typing import Literal

from nicegui import ui

from activitymodule.errors import ActivityError, ReleaseBlockedError, ServiceUnavailableError
from activitymodule.registry.versions import ModelVersion, fetch, versions
from activitymodule.serving.record import Standing, standing
from activitymodule.serving.record import names as models_by_kind
from activitymodule.store.promotions import Promotion, promotions
from activitymodule.workflows.promotion import promote_by_hand, roll_back
from annotation import context, frame
from annotation.auth import User, must_be_admin
from annotation.model_versions import act_chip, read_files, version_details
from annotation.retraining_panel import retraining_panel

_SHOWN = 12
_PROMOTIONS_SHOWN = 30
_TITLES = {"activity": "Activity classifier", "energy": "Energy regressor"}
_ALIASES: dict[str, Literal["good", "warn"]] = {"champion": "good", "challenger": "warn"}
_ICON = '<path d="m12 3 8 4.5v9L12 21l-8-4.5v-9L12 3ZM4 7.5l8 4.5 8-4.5M12 12v9"/>'


@frame.page("/models", "Models", icon=_ICON, group="Stream", order=40, assets=("fleet.css",))
async def models(who: User) -> None:
    """Retraining, then the versions of each model, then all promotions."""
    waiting = frame.text("Loading ...", "muted")
    names = context.settings().registry
    try:
        found = {
            kind: await context.run(versions, context.settings(), name)
            for kind, name in models_by_kind(context.settings()).items()
        }
        stand = {kind: await _standing(name) for kind, name in models_by_kind(context.settings()).items()}
    except ServiceUnavailableError as error:
        waiting.delete()
        frame.notice(str(error), "bad")
        return
    waiting.delete()
    if not found["activity"]:
        frame.empty(
            "No models yet",
            "Train the first one on synthesised data, which takes about a minute: `activity train both --data "
            "synthetic`. The first version becomes champion at once.",
            ("Next steps", "/"),
        )
        return
    history = await context.run_read(
        lambda connection: promotions(connection, name=names.classifier, limit=200)
    )
    for problem in (sentence for one in stand.values() for sentence in one.problems()):
        frame.notice(problem, "bad")
    await retraining_panel(who)
    for kind, held in found.items():
        if held:
            _model(kind, held, stand[kind], history if kind == "activity" else [], who)
    _promotions(history)


async def _standing(name: str) -> Standing:
    return await context.run_read(lambda connection: standing(context.settings(), connection, name))


def _model(kind: str, held: list[ModelVersion], stand: Standing, history: list[Promotion], who: User) -> None:
    """The versions of a model, newest first."""
    with ui.element("div").classes("row-line"):
        frame.heading(_TITLES[kind])
        ui.html(f"{len(held)} version{'s' if len(held) > 1 else ''}", tag="span", sanitize=False).classes(
            "note"
        )
        if who.is_admin and any("previous" in version.aliases for version in held):
            _act_button("Roll back", kind, None, who)
    for version in held[:_SHOWN]:
        own = [entry for entry in history if entry.version == version.version]
        _version(kind, version, stand, own, who)
    if len(held) > _SHOWN:
        frame.text(f"... and {len(held) - _SHOWN} older versions: `activity models list`", "note")


def _version(kind: str, version: ModelVersion, stand: Standing, history: list[Promotion], who: User) -> None:
    """A version, closed but for the champion; its files are fetched when it is opened."""
    refusal = stand.refusals.get(version.version)
    made = f"{version.created_at:%Y-%m-%d %H:%M}" if version.created_at else ""
    aliases = " ".join(frame.chip(alias, _ALIASES.get(alias, "")) for alias in version.aliases)
    opened = version.version == stand.version and kind == "activity"
    with ui.element("details").classes("version") as block:
        if opened:
            block.props("open")
        ui.html(
            f'<b>Version {escape(version.version)}</b>{aliases}<span class="muted">{made}</span>'
            f'<span class="note">{escape(version.tags.get("data", ""))}</span>'
            f"{act_chip(history[0].act) if history else ''}{frame.chip('refused', 'bad') if refusal else ''}",
            tag="summary",
            sanitize=False,
        )
        inside = ui.element("div")
        with inside:
            ui.html('<p class="muted">Loading ...</p>', sanitize=False)
    done = {"shown": False}

    async def show() -> None:
        if done["shown"]:
            return
        done["shown"] = True
        try:
            folder = await context.run(fetch, context.settings(), version)
            files = await context.run(read_files, folder)
        except ActivityError as error:
            inside.clear()
            with inside:
                frame.notice(refusal or str(error), "bad")
            return
        inside.clear()
        with inside:
            if refusal:
                frame.notice(f"Refused: {refusal}", "bad")
            version_details(kind, version, files, history)
            if who.is_admin and version.version != stand.version:
                with ui.element("div").classes("row-line"):
                    _act_button("Promote", kind, version, who)

    block.on("toggle", show)
    if opened:
        ui.timer(0.05, show, once=True)


def _promotions(history: list[Promotion]) -> None:
    with frame.panel("Promotions", note="newest first"):
        if not history:
            frame.text(
                "No promotion, rejection or roll-back yet. The first version of a model becomes champion at once."
            )
            return
        frame.table(
            ["When", "Version", "Previous", "Action", "By", "Reason"],
            [
                [
                    frame.moment(one.at, "%Y-%m-%d %H:%M"),
                    escape(one.version),
                    escape(one.before or "-"),
                    act_chip(one.act),
                    escape(one.by_whom),
                    f'<span class="small">{escape(one.why[:300])}</span>',
                ]
                for one in history[:_PROMOTIONS_SHOWN]
            ],
            numeric=frozenset({1, 2}),
        )


def _act_button(what: str, kind: str, version: ModelVersion | None, who: User) -> None:
    """Promote a version, or roll back (version None): asks for a reason, then does as `activity models` does."""
    button = ui.button(what, color=None).classes("button small").props("flat no-caps")

    async def ask() -> None:
        target = f"version {version.version}" if version else "the previous version"
        why = await _reason(what, target)
        if why is None:
            return
        if not why:
            ui.notify("Enter a reason. It is kept with the version.", type="warning")
            return
        button.disable()
        config = context.settings()

        def promote(because: str = "") -> ModelVersion:
            if version is None:
                return roll_back(config, kind, by_whom=who.name, why=why)
            return promote_by_hand(config, kind, version.version, by_whom=who.name, why=why, because=because)

        try:
            await must_be_admin(who)
            try:
                now = await context.run(promote)
            except ReleaseBlockedError as blocked:
                told = str(blocked)
                because = await _reason("Promote all the same", target, f"{told[:1].upper()}{told[1:]}.")
                if not because:
                    button.enable()
                    return
                await must_be_admin(who)
                now = await context.run(promote, because)
        except ActivityError as error:
            button.enable()
            ui.notify(str(error), type="negative", multi_line=True, timeout=10_000)
            return
        ui.notify(f"Version {now.version} serves from the next batch on.", type="positive")
        ui.navigate.reload()

    button.on_click(ask)


_PROMOTED = (
    "The model is loaded and tried first; one that does not fit is refused, and so is one that fails the release "
    "check. The stream uses it from its next batch on. Your name and the reason are recorded."
)


async def _reason(what: str, target: str, told: str = _PROMOTED) -> str | None:
    """The reason that was entered, stripped; None if the dialog was cancelled."""
    with ui.dialog() as dialog, ui.card().style("min-width: min(420px, 90vw)"):
        frame.heading(f"{what}: {target}")
        frame.text(told)
        reason = ui.input("Reason").props("outlined dense autofocus maxlength=500").classes("w-full")
        with ui.element("div").classes("row-line"):
            ui.button(what, on_click=lambda: dialog.submit(reason.value or ""), color=None).classes(
                "button primary"
            ).props("flat no-caps")
            ui.button("Cancel", on_click=lambda: dialog.submit(None), color=None).classes("button").props(
                "flat no-caps"
            )
    why = await dialog
    return None if why is None else str(why).strip()
