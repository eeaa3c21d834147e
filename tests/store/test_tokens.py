"""Tokens of the REST interface: their devices, their expiry, their last use."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from queued import rows

from activitymodule.errors import ConfigError, RefusedError, TokenExpiredError
from activitymodule.store import users
from activitymodule.store.users import Grant

pytestmark = pytest.mark.integration


def test_a_token_has_devices_an_end_and_a_last_use(opened: Any) -> None:
    open_token = users.add_token(opened, "script")
    token = users.add_token(opened, "strap", devices=["strap-1", "lab-*", "strap-1"], days=1.5)
    assert users.token_grant(opened, "nonsense") is None
    assert users.token_grant(opened, open_token) == Grant("script")
    assert users.token_grant(opened, token) == Grant("strap", ("strap-1", "lab-*"))
    script, strap = users.list_tokens(opened)
    assert (script.expires_at, script.devices) == (None, ())
    assert strap.expires_at is not None
    assert strap.last_used_at is not None
    left = strap.expires_at - datetime.now(UTC)
    assert timedelta(hours=35) < left <= timedelta(hours=36)
    with pytest.raises(RefusedError):
        users.add_token(opened, "strap")

    rows(opened, "UPDATE ingest_tokens SET expires_at = clock_timestamp(), last_used_at = NULL")
    with pytest.raises(TokenExpiredError, match="the token strap expired on"):
        users.token_grant(opened, token)
    assert [one.last_used_at for one in users.list_tokens(opened)] == [None, None], "a refusal is no use"
    users.revoke_token(opened, "strap")
    assert users.token_grant(opened, token) is None


def test_what_makes_no_sense_is_refused(opened: Any) -> None:
    for device in ("", "*", "a b", "a*b", "ü", "x" * 129, "a\0"):
        with pytest.raises(ConfigError):
            users.add_token(opened, "strap", devices=[device])
    for days in (0, -1, 1e9, float("inf"), float("nan")):
        with pytest.raises(ConfigError):
            users.add_token(opened, "strap", days=days)
    assert users.list_tokens(opened) == []
