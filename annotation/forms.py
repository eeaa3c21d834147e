"""Pieces of forms that several pages use: a labelled input, a button that asks before it acts."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

from nicegui import ui

from annotation import frame


def text_field(identity: str, label: str, example: str, most: int = 40) -> ui.input:
    """A labelled input of one line."""
    with ui.element("div").classes("field"):
        ui.html(f'<label for="{identity}">{escape(label)}</label>', sanitize=False)
        return ui.input(placeholder=example).props(
            f'for="{identity}" dense outlined autocomplete=off spellcheck=false maxlength={most}'
        )


def asking_button(words: str, question: str, act: Callable[[], Any], *, danger: bool = False) -> None:
    """A button that asks before it acts."""

    async def ask() -> None:
        with ui.dialog() as dialog, ui.element("div").classes("panel").style("width: min(92vw, 420px)"):
            frame.text(question)
            with ui.element("div").classes("row-line"):
                ui.button(words, on_click=lambda: dialog.submit(True), color=None).props(
                    "unelevated"
                ).classes("button primary")
                ui.button("Cancel", on_click=lambda: dialog.submit(False), color=None).props("flat").classes(
                    "button"
                )
        if await dialog:
            await act()
        dialog.delete()

    ui.button(words, on_click=ask, color=None).props("flat").classes(
        f"button small{' danger' if danger else ''}"
    )
