"""How the archive of raw messages is doing: for `activity status` and `activity doctor`."""

from __future__ import annotations

from dataclasses import dataclass

from activitymodule.errors import BrokerError, ServiceUnavailableError
from activitymodule.kafka.clients import topic_ends
from activitymodule.settings import Settings
from activitymodule.store.archive import ArchiveState, read_archive_state
from activitymodule.store.connection import session


@dataclass(frozen=True)
class ArchiveReport:
    """The state of the archive, and how many messages it is behind Kafka (None: Kafka does not answer)."""

    state: ArchiveState
    behind: int | None

    @property
    def good(self) -> bool:
        """Whether it is written."""
        return self.state.failing_since is None

    @property
    def summary(self) -> str:
        """All of it in one line."""
        state = self.state
        parts = [] if self.behind is None else [f"{self.behind:,} messages behind Kafka"]
        if state.archived_at is not None:
            parts.append(f"last written {state.archived_at:%Y-%m-%d %H:%M:%S} UTC")
        if state.failing_since is not None:
            parts.insert(0, f"not written since {state.failing_since:%Y-%m-%d %H:%M:%S} UTC: {state.error}")
        if state.gaps:
            partition, first, until = state.gaps[-1]
            parts.append(
                f"{state.missing:,} messages were deleted by Kafka before they were archived, the last ones "
                f"{first} to {until - 1} of partition {partition}"
            )
        return "; ".join(parts)


def archive_report(config: Settings) -> ArchiveReport | None:
    """The report; None where nothing is archived, or PostgreSQL does not answer."""
    topic = config.kafka.topic
    if not config.archive.enabled:
        return None
    try:
        with session(config, read_only=True) as connection:
            state = read_archive_state(connection, topic)
    except ServiceUnavailableError:
        return None
    if state is None:
        return None
    try:
        ends = topic_ends(config, topic)
    except (BrokerError, ServiceUnavailableError):
        ends = None
    return ArchiveReport(state, None if ends is None else sum(state.behind(ends).values()))
