"""Credentials of Google Cloud, calls of its REST interfaces, and what their errors mean.

Credentials come from where google-auth finds them: GOOGLE_APPLICATION_CREDENTIALS, `gcloud auth application-default
login`, the service account of a machine.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import TypeVar

import google.auth
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, RefreshError, TransportError
from google.auth.transport.requests import AuthorizedSession
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel
from requests import RequestException
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

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
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
        with signed_in(f"a client of {address}"):
            credentials, self.project = google.auth.default(scopes=SCOPES)
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
        with signed_in(what):
            found = self._session.request(
                method, f"{self.address}/{path}", json=body, params=query, timeout=_SECONDS
            )
        try:
            if found.ok:
                return answer.model_validate_json(found.content or b"{}")
            raise _of_answer(what, found.status_code, _Failure.model_validate_json(found.content).error)
        except ValidationError as error:
            raise ServiceUnavailableError(
                f"{what}: {self.address} answers {found.status_code} with what no interface of Google's does"
            ) from error


@contextlib.contextmanager
def signed_in(what: str) -> Iterator[None]:
    """Raise an error of this project where credentials are missing or refused, or nothing answers.

    what : what is asked of Google, such as `starting a job`
    """
    try:
        yield
    except DefaultCredentialsError as error:
        raise NotAllowedError(
            f"{what}: there are no credentials of Google Cloud; set GOOGLE_APPLICATION_CREDENTIALS, or run "
            "`gcloud auth application-default login`"
        ) from error
    except RefreshError as error:
        raise sign_in_refused(what, str(error)) from error
    except (TransportError, RequestException) as error:
        raise ServiceUnavailableError(
            f"{what}: Google Cloud does not answer ({in_short(str(error))})"
        ) from error
    except GoogleAuthError as error:
        raise NotAllowedError(f"{what}: {in_short(str(error))}") from error


def sign_in_refused(what: str, why: str) -> SignInRefusedError:
    """The error of credentials that are wrong or have expired."""
    return SignInRefusedError(
        f"{what}: the credentials are wrong or have expired ({in_short(why)}): sign in again, and repeat"
    )


def in_short(message: str) -> str:
    """A message of Google's on one line."""
    return " ".join(message.split())[:300]


def _of_answer(what: str, code: int, error: _Status) -> ActivityError:
    said = f"{what}: Google answers {error.status or code} ({in_short(error.message)})"
    match error.status, code:
        case "UNAUTHENTICATED", _:
            return sign_in_refused(what, error.message)
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
