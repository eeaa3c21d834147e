"""Clients of AWS, and what their errors mean.

Credentials, region and endpoint come from where boto3 finds them: the environment, profiles, the role of a machine.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import boto3
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    TokenRetrievalError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from activitymodule.errors import (
    ActivityError,
    ConfigError,
    NotAllowedError,
    NotFoundError,
    QuotaError,
    ServiceUnavailableError,
    SignInRefusedError,
)

_REFUSED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AllAccessDisabled", "403"}
_SIGN_IN = {
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"}
_BUSY = {
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "SlowDown",
    "ServiceUnavailable",
    "InternalError",
    "InternalServerException",
    "InternalServiceException",
    "RequestTimeout",
    "500",
    "503",
}
_QUOTA = {
    "ServiceQuotaExceededException",
    "LimitExceededException",
    "ResourceNumberLimitExceededException",
    "ActiveStatementsExceededException",
    "ActiveSessionsExceededException",
}
_MISSING = {
    "NoSuchBucket",
    "NoSuchKey",
    "NoSuchEntity",
    "NoSuchUpload",
    "ResourceNotFoundException",
    "EntityNotFoundException",
    "404",
}
_WRONG = {"ValidationException", "InvalidInputException", "InvalidRequestException", "InvalidArgument"}

_CONFIG = Config(retries={"mode": "adaptive", "total_max_attempts": 6}, max_pool_connections=64)


def client(service: str) -> BaseClient:
    """A client of a service (`s3`, `emr-serverless`, `glue` ...), which waits and repeats where it is throttled."""
    with explained(f"a client of {service}"):
        return boto3.client(service, config=_CONFIG)


@contextlib.contextmanager
def explained(what: str) -> Iterator[None]:
    """Raise an error of this project for one of boto3's. what : what is asked of AWS, such as `writing s3://B/K`."""
    try:
        yield
    except ClientError as error:
        raise _of_answer(what, error) from error
    except (NoCredentialsError, PartialCredentialsError, TokenRetrievalError) as error:
        raise NotAllowedError(
            f"{what}: there are no credentials of AWS; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or run `aws sso login`"
        ) from error
    except NoRegionError as error:
        raise ConfigError(f"{what}: no region is set; set AWS_DEFAULT_REGION") from error
    except ParamValidationError as error:
        raise ConfigError(f"{what}: {' '.join(str(error).split())}") from error
    except (BotoConnectionError, HTTPClientError) as error:
        raise ServiceUnavailableError(f"{what}: AWS does not answer ({error})") from error
    except BotoCoreError as error:
        raise ConfigError(f"{what}: {error}") from error


def missing(error: ClientError) -> bool:
    """Whether an answer says that what was asked for does not exist."""
    return error.response.get("Error", {}).get("Code") in _MISSING


def _of_answer(what: str, error: ClientError) -> ActivityError:
    answer = error.response.get("Error", {})
    code = str(answer.get("Code", ""))
    said = f"{what}: AWS answers {code} to {error.operation_name} ({answer.get('Message', '')})"
    if code in _REFUSED:
        return NotAllowedError(f"{said}; allow this role or user the action {error.operation_name}")
    if code in _SIGN_IN:
        return SignInRefusedError(
            f"{said}; the credentials are wrong or have expired: sign in again, and repeat"
        )
    if code in _REGION:
        return ConfigError(f"{said}; the bucket is in another region: set AWS_DEFAULT_REGION to it")
    if code in _QUOTA:
        return QuotaError(f"{said}; wait until others have ended, or ask for a higher quota")
    if code in _BUSY:
        return ServiceUnavailableError(
            f"{said}; it was repeated several times: wait, and run the command again"
        )
    if code in _MISSING:
        return NotFoundError(said)
    return ConfigError(said) if code in _WRONG else ServiceUnavailableError(said)
