"""The signed-in layout: bar, navigation, light and dark, and the pieces that pages are made of.

A page is one file in `annotation/pages` with a function of who is signed in, decorated:

    @page("/drift", "Drift", icon='<path d="M3 17h18"/>', group="Stream", order=60)
    async def drift(who: User) -> None:
        with panel("Features with the largest drift"):
            ...

The decorator puts it into the navigation (if it has an icon) and checks the role. Further parameters of the function
are query parameters of its address (`device: str = ""` is `?device=`).
Content goes into a column; `static/console.css` has the classes (there is no Tailwind): `panel`, `grid`, `stats`,
`chip`, `table.plain`, `button`, `note`. Colours are its variables, such as `var(--muted)`; activities have theirs from
`annotation.palette`.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import RedirectResponse
from nicegui import ui

from activitymodule.errors import ActivityError
from activitymodule.models.calibration import UNFAMILIAR
from activitymodule.store.users import Role
from annotation import failures, registry
from annotation.auth import User
from annotation.palette import colour

STATIC = Path(__file__).parent / "static"
THEME_COOKIE = "activity_theme"
_THEMES = {"light": False, "dark": True}


LOGO = (
    '<svg viewBox="0 0 24 24" aria-hidden="true"><rect x="1" y="1" width="22" height="22" rx="6" fill="#0b57c4"/>'
    '<path d="M4 13h3l2-5 3.5 9 2.5-6 1.3 2H20" fill="none" stroke="#fff" stroke-width="1.9" '
    'stroke-linecap="round" stroke-linejoin="round"/></svg>'
)
_SUN = (
    '<path d="M12 3v2M12 19v2M3 12h2M19 12h2M5.6 5.6 7 7M17 17l1.4 1.4M18.4 5.6 17 7M7 17l-1.4 1.4"/>'
    '<circle cx="12" cy="12" r="4"/>'
)
_LEAVE = '<path d="M14 4H5v16h9M10 12h11M17.5 8.5 21 12l-3.5 3.5"/>'
_MENU = '<path d="M4 7h16M4 12h16M4 17h16"/>'


def icon(drawing: str) -> str:
    """The drawing of a page or button as an SVG element."""
    return (
        '<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.7" stroke-linecap="round" '
        f'stroke-linejoin="round" aria-hidden="true">{drawing}</svg>'
    )


@lru_cache(maxsize=32)
def asset(name: str) -> str:
    """The address of a file of `static/`, with a hash of its content so that browsers may cache it."""
    return f"/static/{name}?{sha256((STATIC / name).read_bytes()).hexdigest()[:10]}"


def _bar(who: User, theme: str) -> str:
    shown = {"light": "light", "dark": "dark"}.get(theme, "system")
    return (
        '<header class="bar">'
        '<button class="icon-button burger" type="button" aria-label="Menu" aria-expanded="false" '
        f'aria-controls="rail" onclick="activityNav()">{icon(_MENU)}</button>'
        f'<a class="brand" href="/">{LOGO}<span>Activity</span></a><span class="space"></span>'
        f'<span class="who" title="{escape(who.role)}">{escape(who.name)}</span>'
        f'<button class="icon-button theme" type="button" title="Theme: {shown}" '
        f'aria-label="Theme: {shown}; change" onclick="activityTheme()">{icon(_SUN)}</button>'
        '<form method="post" action="/signout"><button class="icon-button" type="submit" title="Sign out" '
        f'aria-label="Sign out {escape(who.name)}">{icon(_LEAVE)}</button></form></header>'
    )


def _rail(who: User, path: str) -> str:
    entries, group = [], ""
    for entry in registry.navigation(who.role):
        if entry.group != group:
            group = entry.group
            entries.append(f'<li class="head">{escape(group)}</li>')
        current = ' aria-current="page"' if entry.path == path else ""
        entries.append(
            f'<li><a href="{entry.path}"{current}>{icon(entry.icon)}{escape(entry.title)}</a></li>'
        )
    return (
        f'<nav class="rail" id="rail" aria-label="Pages"><ul>{"".join(entries)}</ul></nav>'
        '<div class="veil" onclick="activityNav(false)"></div>'
    )


@contextmanager
def _layout(
    who: User, path: str, title: str, request: Request, *, wide: bool, assets: tuple[str, ...]
) -> Iterator[None]:
    theme = request.cookies.get(THEME_COOKIE, "auto")
    ui.dark_mode(_THEMES.get(theme))
    sheets = "".join(
        f'<link rel="stylesheet" href="{asset(name)}">'
        for name in ("console.css", *assets)
        if name.endswith(".css")
    )
    scripts = "".join(
        f'<script defer src="{asset(name)}"></script>' for name in assets if name.endswith(".js")
    )
    ui.add_head_html(f'{sheets}<script src="{asset("console.js")}"></script>{scripts}')
    ui.html(_bar(who, theme) + _rail(who, path), sanitize=False).style("display: contents")
    with ui.element("main").classes("main wide" if wide else "main").props('id="main"') as main:
        with ui.element("div").classes("page-head" + (" sr" if wide else "")):
            ui.html(escape(title), tag="h1", sanitize=False)
        body = ui.element("div").classes("body")
    ui.skip_link(target=main)
    with body:
        yield


def page(
    path: str,
    title: str,
    *,
    role: Role = "annotator",
    icon: str = "",
    group: str = "",
    order: int = 100,
    wide: bool = False,
    assets: tuple[str, ...] = (),
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function `(who: User, **query)` the page at `path`, inside the signed-in layout.

    role: who may see it; others get a page of refusal. icon: the inside of a 24 x 24 SVG drawn with strokes; with
    one the page is in the navigation, under `group`, by `order`. wide: all of the screen, the title for screen
    readers only. assets: names of files in static/ (.css, .js) that the page needs beside those of every page. An
    ActivityError that the function raises becomes a notice on the page.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        registry.register(registry.Page(path, title, function, role, icon, group, order))
        hints = typing.get_type_hints(function)
        query = [
            parameter.replace(annotation=hints.get(name, str))
            for name, parameter in list(inspect.signature(function).parameters.items())[1:]
        ]

        async def build(request: Request, **arguments: Any) -> Any:
            who = getattr(request.state, "user", None)
            if who is None:  # a token opens no pages
                return RedirectResponse(f"/signin?next={path}", 303)
            ui.on_exception(failures.notify)
            with _layout(who, path, title, request, wide=wide, assets=assets):
                if role == "admin" and not who.is_admin:
                    ui.context.client.status_code = 403
                    empty("Only an admin may see this", "Ask an admin for access.")
                    return None
                try:
                    result = function(who, **arguments)
                    if inspect.isawaitable(result):
                        result = await result
                except ActivityError as error:
                    if (status := failures.mark(request, error)) >= 500:
                        ui.context.client.status_code = status
                    notice(str(error), "bad")
                    return None
            return result

        build.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [
                inspect.Parameter("request", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Request),
                *query,
            ]
        )
        build.__name__ = function.__name__
        ui.page(path, title=f"{title} · Activity", response_timeout=20, language="en-US")(build)
        return function

    return decorate


# ---- pieces -------------------------------------------------------------------------------------------------


@contextmanager
def panel(title: str = "", *, note: str = "") -> Iterator[ui.element]:
    """A bordered block with a heading."""
    with ui.element("section").classes("panel") as block:
        if title:
            with ui.element("div").classes("panel-head"):
                heading(title)
                if note:
                    ui.html(escape(note), tag="span", sanitize=False).classes("note")
        yield block


def heading(text: str, level: int = 2) -> ui.html:
    """A heading, h2 or h3; the page's title is its h1."""
    return ui.html(escape(text), tag=f"h{level}", sanitize=False)


@contextmanager
def folded(title: str) -> Iterator[ui.element]:
    """A block that opens with its title."""
    with ui.element("details").classes("folded") as block:
        ui.html(escape(title), tag="summary", sanitize=False)
        yield block


def text(words: str, classes: str = "") -> ui.html:
    """A paragraph; `like this` becomes code."""
    return ui.html(marked(words), tag="p", sanitize=False).classes(classes)


def marked(words: str) -> str:
    """Escaped text in which `like this` is code."""
    parts = escape(words).split("`")
    if len(parts) % 2 == 0:
        return "`".join(parts)
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))


@contextmanager
def grid(least: int = 300) -> Iterator[ui.element]:
    """Blocks side by side, each at least `least` pixels wide."""
    with ui.element("div").classes("grid").style(f"--least: {least}px") as block:
        yield block


_LONG = 8  # characters of a figure that are set in large type


def stats(values: list[tuple[str, str, str]]) -> ui.html:
    """Figures in a row: (name, value, explanation)."""
    return ui.html(stats_html(values), sanitize=False).classes("stats")


def stats_html(values: list[tuple[str, str, str]]) -> str:
    """The HTML inside `stats`, to update it."""
    return "".join(
        f'<div class="stat"><div class="name">{escape(name)}</div>'
        f'<div class="value{" long" if len(value) > _LONG else ""}">{escape(value)}</div>'
        f'<div class="more">{escape(more)}</div></div>'
        for name, value, more in values
    )


def chip(words: str, kind: Literal["", "good", "warn", "bad"] = "") -> str:
    """HTML of a small tag."""
    return f'<span class="chip {kind}">{escape(words)}</span>'


def moment(at: datetime, form: str = "%m-%d %H:%M") -> str:
    """HTML of a time (UTC) that is not broken over two lines."""
    return f'<span class="nowrap">{at.astimezone(UTC):{form}}</span>'


def count(n: int, what: str) -> str:
    """A number of things: "1 window", "1,234 windows"."""
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"


def watch_link(device: str) -> str:
    """HTML of a link to a watch's page."""
    return f'<a class="nowrap" href="/watch?device={quote(device, safe="")}">{escape(device)}</a>'


def activity_chip(label: str | None) -> str:
    """HTML of an activity with its colour."""
    return f'<span class="chip"><span class="dot" style="--c:{colour(label)}"></span>{escape(label or "none")}</span>'


def familiarity(share: float | None) -> str:
    """HTML of the familiarity of a window; one that is called unfamiliar stands out."""
    if share is None:
        return "-"
    return chip(f"{share:.0%}", "warn") if share < UNFAMILIAR else f"{share:.0%}"


def notice(words: str, kind: Literal["", "good", "warn", "bad"] = "") -> ui.html:
    """A highlighted sentence; `like this` becomes code."""
    role = "alert" if kind == "bad" else "status"
    return ui.html(marked(words), sanitize=False).classes(f"notice {kind}").props(f'role="{role}"')


def empty(title: str, words: str = "", link: tuple[str, str] | None = None) -> None:
    """A placeholder: why there is nothing yet, and what to do. link: (text, path)."""
    with ui.element("div").classes("empty"):
        heading(title)
        if words:
            text(words)
        if link:
            ui.html(
                f'<a class="button primary" href="{escape(link[1])}">{escape(link[0])}</a>', sanitize=False
            )


def table_html(columns: list[str], rows: list[list[str]], *, numeric: frozenset[int] = frozenset()) -> str:
    """A table; cells are HTML (escape foreign text), columns in `numeric` are aligned to the right."""
    kind = ['class="num"' if i in numeric else "" for i in range(len(columns))]
    head = "".join(f'<th scope="col" {kind[i]}>{escape(name)}</th>' for i, name in enumerate(columns))
    lines = "".join(
        "<tr>" + "".join(f"<td {kind[i]}>{cell}</td>" for i, cell in enumerate(row)) + "</tr>" for row in rows
    )
    return (
        f'<div class="table-wrap"><table class="plain"><thead><tr>{head}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
    )


def table(columns: list[str], rows: list[list[str]], *, numeric: frozenset[int] = frozenset()) -> ui.html:
    """`table_html` as an element."""
    return ui.html(table_html(columns, rows, numeric=numeric), sanitize=False).classes("w-full")
