"""A secret by its name in Google's Secret Manager, for places that can be given names and not values.

Cloud Run and ECS put secrets into the environment themselves, and EMR Serverless does it for a job run. A batch of
Dataproc's has no such thing: what it is given can be read by everybody who may look at batches.
"""

from __future__ import annotations

import base64
import re
from typing import Any

from activitymodule.errors import ConfigError, ServiceUnavailableError

NAMED_SECRET = "gcp-secret:"  # noqa: S105 (a prefix)
_ADDRESS = "https://secretmanager.googleapis.com"
_NAME = re.compile(r"projects/[^/\s]+/secrets/[^/\s]+(/versions/[^/\s]+)?")
_SECONDS = 10.0


def fetch_secret(name: str, *, session: Any = None, address: str = _ADDRESS) -> str:
    """The text of a secret, `projects/P/secrets/S` (its latest version) or `projects/P/secrets/S/versions/V`.

    session : of requests, with credentials; the environment's if left out.
    Raises ConfigError where the name cannot be one, ServiceUnavailableError where the secret cannot be had.
    """
    import requests
    from google.auth import default
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.requests import AuthorizedSession

    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{NAMED_SECRET}{name} names no secret; write {NAMED_SECRET}projects/PROJECT/secrets/SECRET"
        )
    version = name if "/versions/" in name else f"{name}/versions/latest"
    try:
        if session is None:
            credentials, _ = default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
            session = AuthorizedSession(credentials)
        answer = session.get(f"{address}/v1/{version}:access", timeout=_SECONDS)
        answer.raise_for_status()
        return base64.b64decode(answer.json()["payload"]["data"]).decode()
    except (GoogleAuthError, requests.RequestException, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ServiceUnavailableError(
            f"the secret {name} cannot be had ({reason}); see that it has a version, and that this account is a "
            "secretAccessor of it"
        ) from error
