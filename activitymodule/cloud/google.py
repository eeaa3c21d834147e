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
    StoreError,
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
_REGION = re.compile(r"in different locations|not found in location|does not support location", re.IGNORECASE)
# reasons of BigQuery, and what other interfaces have as status
_SIGN_IN = {"UNAUTHENTICATED", "authError", "required", "unauthorized", "invalidCredentials"}
_REFUSED = {
    "PERMISSION_DENIED",
    "accessDenied",
    "forbidden",
    "insufficientPermissions",
    "accessNotConfigured",
}
_MISSING = {"NOT_FOUND", "notFound"}
_QUOTA = {"quotaExceeded", "billingTierLimitExceeded", "billingNotEnabled", "dailyLimitExceeded"}
_BUSY = {
    "rateLimitExceeded",
    "jobRateLimitExceeded",
    "backendError",
    "internalError",
    "badGateway",
    "timeout",
}
_BUSY_CODES = {408, 429, 500, 502, 503, 504}
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
            error = _Failure.model_validate_json(found.content).error
            raise refusal(what, found.status_code, error.status, error.message)
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
        raise _sign_in_refused(what, str(error)) from error
    except (TransportError, RequestException) as error:
        raise ServiceUnavailableError(
            f"{what}: Google Cloud does not answer ({_in_short(str(error))})"
        ) from error
    except GoogleAuthError as error:
        raise NotAllowedError(f"{what}: {_in_short(str(error))}") from error


def _sign_in_refused(what: str, why: str) -> SignInRefusedError:
    return SignInRefusedError(
        f"{what}: the credentials are wrong or have expired ({_in_short(why)}): sign in again, and repeat"
    )


def _in_short(message: str) -> str:
    """A message of Google's on one line."""
    return " ".join(message.split())[:300]


def busy(what: str, why: str) -> ServiceUnavailableError:
    """The error of a service that cannot do now what it can do later."""
    return ServiceUnavailableError(
        f"{what}: Google cannot do it now ({_in_short(why)}); it was repeated several times: wait, and run the command "
        "again"
    )


def refusal(
    what: str,
    code: int,
    reason: str,
    message: str,
    *,
    roles: str = "a role with that permission",
    setting: str = "",
) -> ActivityError:
    """What an answer of Google's means. what : was asked of it

    code : of HTTP, 200 for the failure of a job of BigQuery; reason : of BigQuery, or the status of others
    roles : that are needed, where the message names no permission; setting : that names what must be there
    """
    said = f"{what}: Google answers {reason or code} ({_in_short(message)})"
    if _REGION.search(message):
        return ConfigError(f"{said}; make the dataset in the location of the lake's bucket, and load again")
    if reason in _QUOTA:
        return QuotaError(f"{said}; wait until the quota is renewed, or ask for a higher quota")
    if reason in _BUSY or code in _BUSY_CODES:
        return busy(what, f"{reason or code}: {message}")
    if reason in _SIGN_IN or code == 401:
        return _sign_in_refused(what, message)
    if reason in _REFUSED or code == 403:
        right = _PERMISSION.search(message)
        return NotAllowedError(f"{said}; give this account {f'a role with {right[1]}' if right else roles}")
    if reason in _MISSING or code == 404:
        return NotFoundError(f"{said}; make it, or correct {setting}" if setting else said)
    if reason == "ALREADY_EXISTS":
        return AlreadyThereError(said)
    if code == 200:
        return StoreError(f"{said}; nothing of it has an effect, and the next load tries again")
    if "quota" in message.lower():
        return QuotaError(f"{said}; wait until others have ended, or ask for a higher quota")
    return ConfigError(said)
