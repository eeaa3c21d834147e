"""Withdrawal: nothing new of a person is scored, queued or archived from that moment."""

from __future__ import annotations

import time
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from activitymodule.settings import Settings
from activitymodule.store import participants
from activitymodule.store.connection import session, transact

_PATIENCE_SECONDS = 20.0  # for a batch that was going on; a scorer that was killed never ends one
_LOOK_SECONDS = 0.2


class Withdrawal(BaseModel):
    """A participant who has withdrawn."""

    model_config = ConfigDict(frozen=True)

    participant: str
    withdrawn_at: datetime
    taken_back: int = Field(
        description="Rows of the person that what was going on at that moment had written since, and that were deleted"
    )


def withdraw(config: Settings, participant: str) -> Withdrawal:
    """Withdraw a participant. A batch that is going on is waited for, and what it wrote of them is deleted.

    Repeated, the result is the first time. Raises NotFoundError.
    """
    at = transact(config, lambda connection: participants.withdraw(connection, participant))
    settle(config, at)
    taken_back = transact(
        config, lambda connection: participants.take_back_withdrawn(connection, participant)
    )
    return Withdrawal(participant=participant, withdrawn_at=at, taken_back=taken_back)


def settle(config: Settings, at: datetime) -> None:
    """Wait until batches that were going on at a moment are written."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        with session(config, read_only=True) as connection:
            if not participants.batch_running(connection, at):
                return
        time.sleep(_LOOK_SECONDS)
