"""Single sign-on, beside names and passwords: to the provider and back, and the user and role it names.

A user who came so is known by the provider's subject, never by a name alone: a name that a password belongs to is not
taken over.
"""

from __future__ import annotations

import re
from types import ModuleType

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from itsdangerous import BadSignature

from activitymodule.errors import ActivityError, NotAllowedError, ServiceUnavailableError
from activitymodule.settings.models import Oidc
from activitymodule.store.users import Role, user_of_subject
from annotation import auth, context, gate
from annotation.pages import signin

router = APIRouter(prefix=signin.SINGLE_SIGN_ON, include_in_schema=False)

_COOKIE = "activity_oidc"
_SECONDS = 600.0  # from leaving for the provider to coming back


def _oidc() -> ModuleType:
    # a console without a provider needs no Authlib
    from annotation import oidc

    return oidc


def _is_on() -> bool:
    return context.settings().oidc.issuer is not None


def _home(request: Request) -> str:
    return f"{request.url.scheme}://{request.headers.get('host', '')}/signin"


def _refused(request: Request, error: ActivityError) -> Response:
    status = 503 if isinstance(error, ServiceUnavailableError) else 403
    return signin.refused(request, status, str(error))


@router.get("")
async def leave_for_provider(request: Request, next: str = "/") -> Response:
    """Send the browser to the provider."""
    if not _is_on():
        return RedirectResponse("/signin", 303)
    try:
        answer, session = await _oidc().to_provider(request, f"{_home(request)}/oidc/callback")
    except ActivityError as error:
        return _refused(request, error)
    answer.set_cookie(
        _COOKIE,
        auth.signed({"session": session, "next": gate.safe_target(next)}, "oidc"),
        max_age=int(_SECONDS),
        path=signin.SINGLE_SIGN_ON,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return answer


@router.get("/callback")
async def come_back(request: Request) -> Response:
    """The browser comes back from the provider: check what it brings, and begin a session."""
    config = context.settings().oidc
    if not _is_on():
        return RedirectResponse("/signin", 303)
    try:
        kept = auth.unsigned(request.cookies.get(_COOKIE), "oidc", _SECONDS)
    except BadSignature:
        return _refused(
            request, NotAllowedError("the sign-on took too long, or began elsewhere; begin again here")
        )
    try:
        claims = await _oidc().from_provider(request, kept["session"])
        subject, name, role = (
            f"{config.issuer} {claims['sub']}",
            name_of(config, claims),
            role_of(config, claims),
        )
        account = await context.run_write(lambda connection: user_of_subject(connection, subject, name, role))
    except ActivityError as error:
        return _refused(request, error)
    answer = signin.signed_in(request, account.name, kept["next"], since=account.sessions_from.timestamp())
    answer.delete_cookie(_COOKIE, path=signin.SINGLE_SIGN_ON)
    return answer


@router.get("/leave")
async def leave(request: Request) -> Response:
    """Sign out at the provider too, if it can do that."""
    if not _is_on():
        return RedirectResponse("/signin", 303)
    try:
        address = await _oidc().end_of_session(_home(request))
    except ActivityError as error:
        return _refused(request, error)
    if address is None:
        return signin.refused(
            request, 200, "The provider has no page for signing out; sign out at its own site."
        )
    return RedirectResponse(address, 303)


def name_of(config: Oidc, claims: dict[str, object]) -> str:
    """The name of the user here. Raises NotAllowedError if the claim gives none."""
    given = _oidc().claim(claims, config.name_claim)
    name = re.sub(r"[^a-z0-9._-]+", "-", str(given or "").lower()).lstrip("._-")[:40]
    if not name:
        raise NotAllowedError(f"the provider gives no {config.name_claim} for you; ask its admin")
    return name


def role_of(config: Oidc, claims: dict[str, object]) -> Role:
    """The role by the claim, a list or one text. Raises NotAllowedError if it gives none."""
    given = _oidc().claim(claims, config.role_claim)
    held = {one for one in (given if isinstance(given, list) else [given]) if isinstance(one, str)}
    if held & set(config.admins):
        return "admin"
    if held & set(config.annotators):
        return "annotator"
    raise NotAllowedError(
        f"you have no role in the console: {config.role_claim} of the provider must contain one of "
        f"{', '.join([*config.admins, *config.annotators])}; ask its admin"
    )
