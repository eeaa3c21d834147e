"""Signatures of webhook requests, by the Standard Webhooks specification (standardwebhooks.com).

The header `webhook-signature` is `v1,` and the HMAC-SHA256, in base64, of `ID.TIMESTAMP.BODY`, where ID and TIMESTAMP
are the headers `webhook-id` and `webhook-timestamp`. A secret is `whsec_` and its bytes in base64.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping

_PREFIX = "whsec_"
_BYTES = 32
TOLERANCE_SECONDS = 300.0


def new_secret() -> str:
    """A new secret."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_BYTES)).decode()


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """What the header `webhook-signature` holds. timestamp : seconds since the epoch"""
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def headers_of(secret: str, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of a signed request."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(secret, message_id, timestamp, body),
    }


def is_signed(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> bool:
    """Whether a request was signed with this secret within the last five minutes: what a receiver does.

    headers : by names in small letters; now : seconds since the epoch
    """
    try:
        message_id, stamp = headers["webhook-id"], int(headers["webhook-timestamp"])
        given = headers["webhook-signature"].split()
        expected = signature(secret, message_id, stamp, body)
    except (KeyError, ValueError, binascii.Error):
        return False
    fits = any(hmac.compare_digest(one.encode(), expected.encode()) for one in given)
    return fits and abs(now - stamp) <= TOLERANCE_SECONDS
