"""Webhooks get every event in order, signed, at least once; failing ones are tried again, and die in the end."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from own_settings import replaced
from receiver import Receiver
from told import all_events

from activitymodule.errors import ConfigError, NotFoundError, RefusedError, ServiceUnavailableError
from activitymodule.settings import Settings
from activitymodule.store.connection import Connection
from activitymodule.store.queries import execute, fetch_all
from activitymodule.store.webhooks import find_webhook, list_webhooks
from activitymodule.workflows.events import webhooks
from activitymodule.workflows.events.report import of_store
from activitymodule.workflows.events.webhooks import Deliveries

pytestmark = pytest.mark.integration


@pytest.fixture
def added(own: Settings, connection: Connection, taking: Receiver) -> int:
    """The number of a webhook for everything."""
    made = webhooks.add(own, taking.url)
    taking.secret = made.secret
    return made.webhook.webhook_id


def deliver(own: Settings, connection: Connection) -> None:
    """What is due, whenever it is to be tried next."""
    execute(connection, "UPDATE webhooks SET next_try_at = NULL")
    connection.commit()
    deliveries = Deliveries(own)
    deliveries.deliver_all()
    deliveries.close()


def test_events_come_in_order_and_once(
    own: Settings, connection: Connection, tell: Callable[[int, int], None], taking: Receiver, added: int
) -> None:
    ends = webhooks.add(own, taking.url, ["ended"]).webhook.webhook_id
    tell(0, 400)
    deliver(own, connection)
    told = [json.loads(event.message()) for event in all_events(connection)]
    assert len(told) > 200, "more than one request holds"
    assert taking.taken == told
    assert len({headers["webhook-id"] for _, headers, _ in taking.requests}) == len(taking.requests)
    with_ends = find_webhook(connection, ends)
    assert with_ends.delivered == sum(event["kind"] == "ended" for event in told)
    assert with_ends.sequence == told[-1]["sequence"] == find_webhook(connection, added).sequence
    before = len(taking.requests)
    deliver(own, connection)
    assert len(taking.requests) == before, "nothing is new"


def test_a_failing_webhook_is_tried_again_and_nothing_is_lost(
    own: Settings, connection: Connection, tell: Callable[[int, int], None], taking: Receiver, added: int
) -> None:
    tell(0, 20)
    ids = set()
    for attempt, answer in enumerate((500, 302, 400, 429), start=1):
        taking.answer = answer
        taking.headers = {"location": taking.url, "retry-after": "120"}
        deliver(own, connection)
        found = find_webhook(connection, added)
        assert (found.state, found.attempts, found.delivered) == ("failing", attempt, 0)
        assert str(answer) in (found.error or "")
        assert "hidden" not in (found.error or "")
        assert found.next_try_at is not None
        assert found.failing_since is not None
        assert (found.next_try_at - found.failing_since).total_seconds() >= (119 if answer != 302 else 0)
        ids.add(taking.requests[-1][1]["webhook-id"])
    assert len(taking.requests) == 4, "redirects are not followed"
    assert len(ids) == 1, "the same request has the same id"
    assert taking.taken == []
    taking.answer = 204
    deliver(own, connection)
    assert find_webhook(connection, added).state == "ok"
    assert taking.taken == [json.loads(event.message()) for event in all_events(connection)]


def test_a_webhook_dies_after_a_day_and_lives_again(
    own: Settings, connection: Connection, tell: Callable[[int, int], None], taking: Receiver, added: int
) -> None:
    tell(0, 20)
    taking.answer = 503
    deliver(own, connection)
    execute(connection, "UPDATE webhooks SET failing_since = failing_since - interval '25 hours'")
    deliver(own, connection)
    assert find_webhook(connection, added).state == "dead"
    report = of_store(own, connection)
    assert not report.good
    assert f"dead webhooks: {added}" in report.summary
    before = len(taking.requests)
    deliver(own, connection)
    assert len(taking.requests) == before, "a dead one is left alone"
    with pytest.raises(ServiceUnavailableError):
        webhooks.probe(own, added)
    assert find_webhook(connection, added).state == "dead"
    taking.answer = 200
    connection.commit()
    assert webhooks.probe(own, added).state == "ok"
    assert taking.taken == [], "a test has no events"
    deliver(own, connection)
    assert taking.taken == [json.loads(event.message()) for event in all_events(connection)]


def test_gone_is_dead_at_once(
    own: Settings, connection: Connection, tell: Callable[[int, int], None], taking: Receiver, added: int
) -> None:
    taking.answer = 410
    tell(0, 20)
    deliver(own, connection)
    assert find_webhook(connection, added).state == "dead"


def test_a_slow_answer_and_a_name_that_moves_inside(
    own: Settings, connection: Connection, tell: Callable[[int, int], None], taking: Receiver, added: int
) -> None:
    hasty = replaced(own, events={"webhook_seconds": 0.2})
    tell(0, 20)
    taking.answer = 503  # the answer that comes too late
    taking.hold.clear()
    deliver(hasty, connection)
    assert "does not answer" in (find_webhook(connection, added).error or "")
    taking.hold.set()
    # as if the name had come to mean this machine after it was added
    deliver(replaced(own, events={"webhook_networks": []}), connection)
    assert "own network" in (find_webhook(connection, added).error or "")
    assert taking.taken == []


def test_what_is_no_webhook(own: Settings, connection: Connection, taking: Receiver) -> None:
    with pytest.raises(RefusedError):
        webhooks.add(replaced(own, events={"webhook_networks": []}), taking.url)
    with pytest.raises(ConfigError):
        webhooks.add(own, taking.url, ["began", "born"])
    with pytest.raises(ConfigError):
        webhooks.add(replaced(own, events={"enabled": False}), taking.url)
    with pytest.raises(NotFoundError):
        webhooks.probe(own, 7)
    assert list_webhooks(connection) == []


def test_the_secret_is_shown_once(
    own: Settings,
    connection: Connection,
    taking: Receiver,
    environment_of: Callable[[Settings], dict[str, str]],
    verbs: Any,
) -> None:
    environment = environment_of(own)
    shown = verbs.run(environment, "webhooks", "add", taking.url, "--events", "ended", "--json")
    secret = json.loads(shown.stdout)["secret"]
    assert fetch_all(connection, "SELECT secret FROM webhook_secrets") == [(secret,)]
    connection.commit()
    number = str(json.loads(shown.stdout)["webhook"])
    rest = [
        verbs.run(environment, "webhooks", "list"),
        verbs.run(environment, "webhooks", "list", "--json"),
        verbs.run(environment, "webhooks", "test", number),
        verbs.run(environment, "events", "status"),
        verbs.run(environment, "webhooks", "remove", number),
        verbs.run(environment, "webhooks", "remove", number),
    ]
    assert [one.returncode for one in rest] == [0, 0, 0, 3, 0, 2]
    said = "".join(one.stdout + one.stderr for one in rest)
    assert secret not in said
    assert "hidden" not in said
    assert fetch_all(connection, "SELECT secret FROM webhook_secrets") == []
