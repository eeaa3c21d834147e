"""OpenID Connect with the provider of `oidc.issuer`: authorization code with PKCE, state and nonce, by Authlib."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import httpx
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.starlette_client import OAuth
from fastapi import Request
from fastapi.responses import Response
from joserfc.errors import JoseError

from activitymodule.errors import NotAllowedError, ServiceUnavailableError
from annotation import context

_ASYMMETRIC = ("RS", "PS", "ES", "Ed")  # signatures that only the provider can make

Claims = Mapping[str, Any]
"""The provider's claims about a user, as JSON."""


@lru_cache(maxsize=1)
def _client() -> Any:
    """Authlib's client, which keeps the provider's metadata and keys."""
    config = context.settings().oidc
    secret = config.client_secret.get_secret_value() if config.client_secret else None
    return OAuth().register(
        "provider",
        client_id=config.client_id,
        client_secret=secret,
        server_metadata_url=f"{str(config.issuer).rstrip('/')}/.well-known/openid-configuration",
        client_kwargs={
            "scope": config.scopes,
            "code_challenge_method": "S256",
            "timeout": 10,
            **({} if secret else {"token_endpoint_auth_method": "none"}),
        },
    )


async def _metadata() -> Mapping[str, Any]:
    issuer, client = context.settings().oidc.issuer, _client()
    try:
        found = await client.load_server_metadata()
    except (httpx.HTTPError, ValueError) as error:
        raise ServiceUnavailableError(
            f"the sign-on provider {issuer} does not answer ({type(error).__name__}); sign in with a password, or try "
            "again later"
        ) from None
    if str(found.get("issuer")).rstrip("/") != str(issuer).rstrip("/"):
        raise NotAllowedError(
            f"the sign-on provider calls itself {found.get('issuer')}, and oidc.issuer is {issuer}"
        )
    offered = found.get("id_token_signing_alg_values_supported") or ["RS256"]
    found["id_token_signing_alg_values_supported"] = [one for one in offered if one.startswith(_ASYMMETRIC)]
    return found


async def to_provider(request: Request, callback: str) -> tuple[Response, Any]:
    """The response that leads to the provider, and what the browser must bring back (JSON), to be kept in a cookie.

    Raises ServiceUnavailableError, NotAllowedError where the provider is another one.
    """
    await _metadata()
    request.scope["session"] = {}
    answer: Response = await _client().authorize_redirect(request, callback)
    return answer, request.scope["session"]


async def from_provider(request: Request, kept: Any) -> Claims:
    """The claims of the ID token, checked; with those of the user endpoint if the role is not among them.

    kept : from `to_provider`. Raises ServiceUnavailableError, and NotAllowedError for whatever does not fit.
    """
    await _metadata()
    request.scope["session"] = kept
    client = _client()
    try:
        token = await client.authorize_access_token(request)
        claims: dict[str, Any] = dict(token["userinfo"])
        wanted = context.settings().oidc.role_claim
        if claim(claims, wanted) is None and client.server_metadata.get("userinfo_endpoint"):
            more = await client.userinfo(token=token)
            # of the same user, or it is somebody else's answer
            claims = {**more, **claims} if more.get("sub") == claims["sub"] else claims
    except httpx.TransportError as error:
        raise ServiceUnavailableError(
            f"the sign-on provider does not answer ({type(error).__name__}); begin again from the sign-in page"
        ) from None
    except (OAuthError, JoseError, httpx.HTTPError, KeyError, TypeError, ValueError) as error:
        raise NotAllowedError(
            f"the sign-on was not completed ({type(error).__name__}); begin again from the sign-in page"
        ) from None
    return claims


async def end_of_session(home: str) -> str | None:
    """The address that signs the browser out at the provider and leads to `home`; None if the provider has none.

    Raises ServiceUnavailableError, NotAllowedError where the provider is another one.
    """
    end = (await _metadata()).get("end_session_endpoint")
    if not end:
        return None
    more = {"client_id": context.settings().oidc.client_id, "post_logout_redirect_uri": home}
    return str(httpx.URL(end).copy_merge_params(more))


def claim(claims: Claims, path: str) -> Any:
    """The claim of this name, or within claims: `realm_access.roles`. None if there is none."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found
