"""Calls of Google Cloud's REST interfaces, and what their errors mean.

Credentials come from where google-auth finds them: GOOGLE_APPLICATION_CREDENTIALS, `gcloud auth application-default
login`, the service account of a machine.
"""

from __future__ import annotations

import re
from typing import TypeVar

import google.auth
import requests
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, RefreshError
from google.auth.transport.requests import AuthorizedSession
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from activitymodule.errors import (
    ActivityError,
    AlreadyThereError,
    ConfigError,
    NotAllowedError,
    NotFoundError,
    QuotaError,
    ServiceUnavailableError,
    SignInRefusedError,
)

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_SECONDS = 60.0
# POST among them: what is made has a name given here, so that a second call makes nothing new
_AGAIN = Retry(
    total=5,
    status_forcelist=(429, 500, 502, 503, 504),
    allowed_methods=None,
    backoff_factor=0.5,
    raise_on_status=False,
)
_PERMISSION = re.compile(
    r"(?<![@\w.-])([a-z]+\.[a-zA-Z]+\.[a-zA-Z]+)(?![\w.])"
)  # such as dataproc.batches.create
_Answer = TypeVar("_Answer", bound="Answer")


class Answer(BaseModel):
    """What a call answers: the fields that are used here, under Google's names in snake case."""

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        extra="ignore",
    )


class _Status(Answer):
    code: int = 0
    message: str = ""
    status: str = ""


class _Failure(Answer):
    error: _Status


class Google:
    """An interface at an address, such as https://europe-west3-dataproc.googleapis.com/v1."""

    def __init__(self, address: str) -> None:
        self.address = address
        try:
            credentials, self.project = google.auth.default(scopes=[_SCOPE])
        except DefaultCredentialsError as error:
            raise NotAllowedError(
                "there are no credentials of Google Cloud; run `gcloud auth application-default login`, or set "
                "GOOGLE_APPLICATION_CREDENTIALS to the file of a service account"
            ) from error
        self._session = AuthorizedSession(credentials)
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=_AGAIN))

    def call(
        self,
        answer: type[_Answer],
        what: str,
        method: str,
        path: str,
        *,
        body: object = None,
        **query: str | int | None,
    ) -> _Answer:
        """The answer to a call. what : what is asked of Google, such as `starting a job`.

        Raises NotAllowedError, SignInRefusedError, NotFoundError, QuotaError, AlreadyThereError, ConfigError for what
        Google refuses, ServiceUnavailableError where it does not answer after several attempts.
        """
        try:
            found = self._session.request(
                method, f"{self.address}/{path}", json=body, params=query, timeout=_SECONDS
            )
        except RefreshError as error:
            raise SignInRefusedError(
                f"{what}: the credentials of Google Cloud are wrong or have expired ({_first(error)}); sign in again "
                "(`gcloud auth application-default login`), and repeat"
            ) from error
        except (requests.RequestException, GoogleAuthError) as error:
            raise ServiceUnavailableError(f"{what}: Google does not answer ({_first(error)})") from error
        try:
            if found.ok:
                return answer.model_validate_json(found.content or b"{}")
            raise _of_answer(what, found.status_code, _Failure.model_validate_json(found.content).error)
        except ValidationError as error:
            raise ServiceUnavailableError(
                f"{what}: {self.address} answers {found.status_code} with what no interface of Google's does"
            ) from error


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def _of_answer(what: str, code: int, error: _Status) -> ActivityError:
    said = f"{what}: Google answers {error.status or code} ({error.message})"
    match error.status, code:
        case "UNAUTHENTICATED", _:
            return SignInRefusedError(
                f"{said}; the credentials are wrong or have expired: sign in again, and repeat"
            )
        case "PERMISSION_DENIED", _:
            right = _PERMISSION.search(error.message)
            return NotAllowedError(
                f"{said}; give this account a role with {right[1] if right else 'that permission'}"
            )
        case "NOT_FOUND", _:
            return NotFoundError(said)
        case "ALREADY_EXISTS", _:
            return AlreadyThereError(said)
        case _, 429 | 500 | 502 | 503 | 504:
            return ServiceUnavailableError(
                f"{said}; it was repeated several times: wait, and run the command again"
            )
        case _ if "quota" in error.message.lower():
            return QuotaError(f"{said}; wait until others have ended, or ask for a higher quota")
    return ConfigError(said)
