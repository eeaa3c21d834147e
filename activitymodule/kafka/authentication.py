"""Who we are, as Google's Managed Service for Apache Kafka wants to be told by a Python client (OAUTHBEARER).

Java clients have Google's own GcpLoginCallbackHandler for it; kafka-python asks an object for a token. Both go by
the credentials of the environment (a service account, or `gcloud auth application-default login`).
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
    """Tokens for kafka-python, renewed when they are about to end; safe to share between threads.

    A token is three parts with dots between them: what it is, whom it names and until when, and the access token
    itself, each in base64url. It looks like a JWT and is not signed: the broker asks Google about the access token.
    """

    def __init__(self, credentials: Any = None, **config: Any) -> None:
        super().__init__(**config)
        self._credentials = credentials
        self._lock = threading.Lock()

    def _valid(self) -> Any:
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
                    f"Kafka asks for Google's credentials and there are none ({str(error).splitlines()[0]}); run as a "
                    "service account, or `gcloud auth application-default login`"
                ) from error
            return self._credentials

    def token(self) -> str:
        """The token as it is sent. Raises ServiceUnavailableError where there are no credentials."""
        credentials = self._valid()
        # google-auth tells the end of a token as UTC without saying so
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
