"""Signing in and out: plain HTML without scripts, the only page that needs no session."""

from __future__ import annotations

import asyncio
from html import escape
from urllib.parse import parse_qs, quote

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from activitymodule.store.users import list_users, password_fits, password_hash
from annotation import auth, context, gate
from annotation.bodies import body_of
from annotation.frame import LOGO, STATIC
from annotation.limits import Backoff, Limiter

router = APIRouter(include_in_schema=False)

SINGLE_SIGN_ON = "/signin/oidc"
_BODY_BYTES = 4096
# each takes 64 MiB and some 50 ms of a core: few at a time, the others wait
_hashing = asyncio.Semaphore(2)
_of_address: Limiter | None = None
# of an account from one address; and from all addresses together, except browsers in which it has signed in before, so
# that nobody can keep its user out
_of_account_here, _of_account = Backoff(5, 60), Backoff(20, 30, first_seconds=30)
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
        f"{_other_way(target)}"
        '<p class="note">No account or password? Ask an admin to run <code>activity users add NAME</code> '
        "or <code>activity users password NAME</code>.</p></form>"
    )


def _other_way(target: str) -> str:
    config = context.settings().oidc
    if config.issuer is None:
        return ""
    words = escape(config.button)
    return f'<a class="button" href="{SINGLE_SIGN_ON}?next={quote(target, safe="/")}">{words}</a>'


_FIRST = (
    "<h1>No users yet</h1><p>Create the first admin on the machine that runs the console:</p>"
    "<pre>activity users add NAME --role admin</pre>"
    '<p>The command prints a password once. Then <a href="/signin">sign in</a>.</p>'
)


_LEFT = (
    "<h1>Signed out</h1><p>You are signed out of the console, and still signed in at the provider of the single "
    f'sign-on.</p><p><a class="button" href="{SINGLE_SIGN_ON}/leave">Sign out there too</a> '
    '<a class="button" href="/signin">Sign in again</a></p>'
)


def refused(request: Request, status: int, why: str) -> Response:
    """The sign-in page with a message."""
    return _page(_form("/", trouble=why), status, theme=_theme(request))


def _theme(request: Request) -> str:
    return request.cookies.get("activity_theme", "auto")


@router.get("/signin")
async def form(request: Request, next: str = "/", left: bool = False) -> Response:
    """The sign-in page; explains how to add the first user if there is none.

    left : a user who came by single sign-on has signed out
    """
    target = gate.safe_target(next)
    if getattr(request.state, "user", None) is not None:
        return RedirectResponse(target, 303)
    if left:
        return _page(f'<div class="first">{_brand()}{_LEFT}</div>', theme=_theme(request))
    if context.settings().oidc.issuer is None and not await context.run_read(list_users):
        return _page(f'<div class="first">{_brand()}{_FIRST}</div>', theme=_theme(request))
    return _page(_form(target), theme=_theme(request))


@router.post("/signin")
async def sign_in(request: Request) -> Response:
    """Check name and password; set the session's cookie."""
    given = await _fields(request)
    if given is None:
        return _page(_form("/", trouble="The form was incomplete. Try again."), 400, theme=_theme(request))
    name, target = given.get("name", "").strip().lower()[:40], gate.safe_target(given.get("next"))
    address = request.client.host if request.client else ""
    known = auth.is_known_browser(request.cookies.get(auth.KNOWN_BROWSER), name)
    seconds = _wait(name, address, known)
    if seconds:
        after = int(seconds) + 1
        return _page(
            _form(target, name, f"Too many attempts. Try again in {after} seconds."),
            429,
            {"Retry-After": str(after)},
            _theme(request),
        )
    stored = await context.run_read(lambda connection: password_hash(connection, name))
    async with _hashing:
        fits = await asyncio.to_thread(password_fits, given.get("password", ""), stored)
    if not fits:
        return _page(_form(target, name, "Name or password is wrong."), 401, theme=_theme(request))
    _of_account_here.succeeded(f"{name} {address}", forget=True)
    if not known:
        _of_account.succeeded(name, forget=False)
    return signed_in(request, name, target)


def _wait(name: str, address: str, known: bool) -> float:
    """0, and the attempt is counted; or how many seconds it must wait. The same for names that no user has."""
    global _of_address
    if _of_address is None:
        _of_address = Limiter(context.settings().console.sign_ins_per_minute)
    return (
        _of_address.wait(address)
        or _of_account_here.wait(f"{name} {address}")
        or (0.0 if known else _of_account.wait(name))
    )


def signed_in(request: Request, name: str, target: str, *, since: float | None = None) -> Response:
    """The response that begins a session and leads to a page.

    since : of a user who came by single sign-on, the time from which their sessions are valid
    """
    auth.forget(name)
    answer = RedirectResponse(target, 303)
    session = auth.new_session(name, since=since or 0.0, single_sign_on=since is not None)
    for cookie, value, seconds in (
        (auth.COOKIE, session, int(context.settings().console.session_hours * 3600)),
        (auth.KNOWN_BROWSER, auth.signed(name, "browser"), auth.KNOWN_SECONDS),
    ):
        answer.set_cookie(
            cookie,
            value,
            max_age=seconds,
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
    return answer


async def _fields(request: Request) -> dict[str, str] | None:
    """The fields of a small form; None for anything else. Raises HTTPException 413 for a large one."""
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return None
    body = await body_of(request, _BODY_BYTES)
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
    # a form may lead to pages of the console only, so it is a link there that leads to the provider
    left = session is not None and session.single_sign_on
    answer = RedirectResponse("/signin?left=true" if left else "/signin", 303)
    answer.delete_cookie(auth.COOKIE, httponly=True, samesite="lax")
    return answer
