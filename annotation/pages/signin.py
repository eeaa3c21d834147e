"""Signing in and out: plain HTML without scripts, the only page that needs no session."""

from __future__ import annotations

import asyncio
from html import escape
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from activitymodule.store.users import list_users, password_fits, password_hash
from annotation import auth, context
from annotation.frame import LOGO, STATIC

router = APIRouter(include_in_schema=False)

_BODY_BYTES = 4096
# each takes 64 MiB and some 50 ms of a core: few at a time, the others wait
_hashing = asyncio.Semaphore(2)
_attempts: auth.Limiter | None = None
_FOLLOW_SYSTEM = (
    "<script>document.body.className = 'body--' + "
    "(matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')</script>"
)


def _page(
    body: str, status: int = 200, headers: dict[str, str] | None = None, theme: str = "auto"
) -> Response:
    sheet = (STATIC / "console.css").read_text(encoding="utf-8")
    kind = {"light": "body--light", "dark": "body--dark"}.get(theme, "")
    script = "" if kind else _FOLLOW_SYSTEM
    return HTMLResponse(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Sign in · Activity</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<style>body {{ margin: 0; }}{sheet}</style></head><body class="{kind}">{script}'
        f'<main class="sign-in">{body}</main></body></html>',
        status,
        {"Cache-Control": "no-store"} | (headers or {}),
    )


def _brand() -> str:
    return f'<div class="brand">{LOGO}<span>Activity</span></div>'


def _form(target: str, name: str = "", trouble: str = "") -> str:
    error = f'<div class="notice bad" role="alert" id="trouble">{escape(trouble)}</div>' if trouble else ""
    described = 'aria-describedby="trouble" ' if trouble else ""
    focus_name, focus_password = ("", " autofocus") if name else (" autofocus", "")
    return (
        f'<form method="post" action="/signin">{_brand()}<h1>Sign in</h1>{error}'
        f'<input type="hidden" name="next" value="{escape(target)}">'
        f'<div class="field"><label for="name">Name</label><input id="name" name="name" value="{escape(name)}" '
        f'autocomplete="username" autocapitalize="none" spellcheck="false" required maxlength="40" '
        f"{described}{focus_name}></div>"
        '<div class="field"><label for="password">Password</label><input id="password" name="password" '
        f'type="password" autocomplete="current-password" required maxlength="200" {described}{focus_password}></div>'
        '<button class="button primary" type="submit">Sign in</button>'
        '<p class="note">No account or password? Ask an admin to run <code>activity users add NAME</code> '
        "or <code>activity users password NAME</code>.</p></form>"
    )


_FIRST = (
    "<h1>No users yet</h1><p>Create the first admin on the machine that runs the console:</p>"
    "<pre>activity users add NAME --role admin</pre>"
    '<p>The command prints a password once. Then <a href="/signin">sign in</a>.</p>'
)


def _theme(request: Request) -> str:
    return request.cookies.get("activity_theme", "auto")


@router.get("/signin")
async def form(request: Request, next: str = "/") -> Response:
    """The sign-in page; explains how to add the first user if there is none."""
    target = auth.safe_target(next)
    if getattr(request.state, "user", None) is not None:
        return RedirectResponse(target, 303)
    if not await context.run_read(list_users):
        return _page(f'<div class="first">{_brand()}{_FIRST}</div>', theme=_theme(request))
    return _page(_form(target), theme=_theme(request))


@router.post("/signin")
async def sign_in(request: Request) -> Response:
    """Check name and password; set the session's cookie."""
    global _attempts
    if _attempts is None:
        _attempts = auth.Limiter(context.settings().console.sign_ins_per_minute)
    given = await _fields(request)
    if given is None:
        return _page(_form("/", trouble="The form was incomplete. Try again."), 400, theme=_theme(request))
    name, target = given.get("name", "").strip().lower()[:40], auth.safe_target(given.get("next"))
    seconds = _attempts.wait(request.client.host if request.client else "")
    if seconds:
        after = int(seconds) + 1
        return _page(
            _form(target, name, f"Too many attempts from your address. Try again in {after} seconds."),
            429,
            {"Retry-After": str(after)},
            _theme(request),
        )
    stored = await context.run_read(lambda connection: password_hash(connection, name))
    async with _hashing:
        fits = await asyncio.to_thread(password_fits, given.get("password", ""), stored)
    if not fits:
        return _page(_form(target, name, "Name or password is wrong."), 401, theme=_theme(request))
    auth.forget(name)
    answer = RedirectResponse(target, 303)
    answer.set_cookie(
        auth.COOKIE,
        auth.new_session(name),
        max_age=int(context.settings().console.session_hours * 3600),
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return answer


async def _fields(request: Request) -> dict[str, str] | None:
    """The fields of a small form; None for anything else."""
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return None
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _BODY_BYTES:
            return None
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=10, errors="strict")
    except ValueError:
        return None
    return {key: values[0] for key, values in fields.items()}


@router.post("/signout")
async def sign_out(request: Request) -> Response:
    """End the session."""
    session = getattr(request.state, "session", None)
    if session is not None:
        auth.end_session(session)
    answer = RedirectResponse("/signin", 303)
    answer.delete_cookie(auth.COOKIE, httponly=True, samesite="lax")
    return answer
