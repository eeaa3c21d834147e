"""OAUTHBEARER tokens for kafka-python, as Google's Managed Service for Apache Kafka expects them.

Java clients use Google's GcpLoginCallbackHandler, kafka-python an object with `token()`. Both take the credentials
of the environment (a service account, or `gcloud auth application-default login`).
"""

from __future__ import annotations

import base64
import json
import threading
from datetime import UTC, datetime
from typing import Any

from kafka.net.sasl.oauth import AbstractTokenProvider

from activitymodule.errors import ServiceUnavailableError

_SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]


def _part(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


class GoogleTokens(AbstractTokenProvider):
    """Tokens for kafka-python, renewed before they expire; may be shared between threads.

    A token has three parts in base64url, joined by dots: a header, claims with subject and expiry, and the access
    token. It looks like a JWT but is not signed: the broker validates the access token with Google.
    """

    def __init__(self, credentials: Any = None, **config: Any) -> None:
        super().__init__(**config)
        self._credentials = credentials
        self._lock = threading.Lock()

    def _valid(self) -> Any:
        # an optional extra (cloud)
        from google.auth import default
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import Request

        with self._lock:
            try:
                if self._credentials is None:
                    self._credentials, _ = default(scopes=_SCOPES)
                if not self._credentials.valid:
                    self._credentials.refresh(Request())
            except GoogleAuthError as error:
                raise ServiceUnavailableError(
                    f"Kafka needs Google's credentials and found none ({str(error).splitlines()[0]}); run as a "
                    "service account, or `gcloud auth application-default login`"
                ) from error
            return self._credentials

    def token(self) -> str:
        """The token as it is sent. Raises ServiceUnavailableError without credentials."""
        credentials = self._valid()
        # google-auth's expiry is UTC without a time zone
        until = credentials.expiry.replace(tzinfo=UTC).timestamp() if credentials.expiry else None
        now = datetime.now(UTC).timestamp()
        claims = {
            "exp": now + 3600 if until is None else until,
            "iat": now,
            "iss": "Google",
            "scope": "kafka",
            "sub": getattr(credentials, "service_account_email", ""),
        }
        header = {"typ": "JWT", "alg": "GOOG_OAUTH2_TOKEN"}
        parts = (json.dumps(header), json.dumps(claims), credentials.token)
        return ".".join(_part(part.encode()) for part in parts)
