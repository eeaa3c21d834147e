"""A simulated annotator that works as people do: signed in at a console of its own, by the interface of its page."""

from __future__ import annotations

import random
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import requests
from pydantic import BaseModel

from activitymodule.embedded.processes import any_free_port, clean_environment
from activitymodule.errors import ServiceUnavailableError
from activitymodule.kafka.truth import read_truth
from activitymodule.settings import Settings, build, environment_of, reveal
from activitymodule.store.connection import session
from activitymodule.store.users import add_user, new_password
from activitymodule.workflows.background import Job, running
from activitymodule.workflows.labelling import OracleCount, Truth

NAME = "annotator-1"
_START_SECONDS = 180.0
_TIMEOUT = 30.0  # of a request
_POLL_SECONDS = 0.5
_KEPT_BACK = 15  # items without a truth yet that are held, at most


class _Item(BaseModel):
    """What is needed of an item of the page."""

    item_id: int
    device: str
    start: datetime
    seconds: float


class _Next(BaseModel):
    item: _Item | None


class Annotator:
    """Answers from the truth topic, wrongly at a given rate, and `unsure` where a window has no one activity. A window
    without a truth yet is left for later."""

    def __init__(
        self,
        config: Settings,
        address: str,
        client: requests.Session,
        console: Job,
        *,
        error_rate: float,
        seed: int,
    ) -> None:
        self._config, self._address, self._client, self._console = config, address, client, console
        self._error_rate, self._dice = error_rate, random.Random(seed)
        self._activities: set[str] = set()

    def label(self, seconds: float) -> OracleCount:
        """Answer what the queue asks for so many seconds. Raises ServiceUnavailableError where it does not get on."""
        until, answers, later = time.monotonic() + seconds, Counter[str](), list[int]()
        truth = self._truth()
        while time.monotonic() < until:
            item = self._next(later)
            if item is None or len(later) >= _KEPT_BACK:
                later = self._released(later)
                truth = self._truth()
                time.sleep(_POLL_SECONDS)
                continue
            start_us = round(item.start.timestamp() * 1e6)
            end_us = start_us + round(item.seconds * 1e6)
            label = truth.label(item.device, start_us, end_us)
            if label is None:
                if truth.reaches(item.device, end_us):
                    self._sent("POST", "answer", {"item_id": item.item_id, "answer": "unsure"})
                    answers["unsure"] += 1
                else:
                    later.append(item.item_id)
                continue
            others = sorted(self._activities - {label})
            wrong = bool(others) and self._dice.random() < self._error_rate
            said = self._dice.choice(others) if wrong else label
            self._sent("POST", "answer", {"item_id": item.item_id, "answer": "label", "label": said})
            answers["wrong" if wrong else "right"] += 1
        self._released(later)
        labels = answers["right"] + answers["wrong"]
        return OracleCount(answers.total(), labels, answers["wrong"], answers["unsure"])

    def _truth(self) -> Truth:
        truth, spans = Truth(), read_truth(self._config).spans
        truth.learn(spans)
        self._activities |= set(spans.column("activity").unique().to_pylist())
        return truth

    def _next(self, besides: list[int]) -> _Item | None:
        shown = ",".join(map(str, besides))
        return _Next.model_validate_json(self._sent("GET", f"next?width=300&besides={shown}")).item

    def _released(self, items: list[int]) -> list[int]:
        if items:
            self._sent("POST", "release", {"item_ids": items})
        return []

    def _sent(
        self, method: str, route: str, body: Mapping[str, int | str | list[int]] | None = None
    ) -> bytes:
        try:
            answer = self._client.request(
                method, f"{self._address}/annotate/{route}", json=body, timeout=_TIMEOUT
            )
            answer.raise_for_status()
        except requests.RequestException as error:
            ended = self._console.exit_code
            why = error if ended is None else f"it ended with {ended}: {self._console.last_line()}"
            raise ServiceUnavailableError(
                f"the console at {self._address} does not take labels: {why}"
            ) from error
        return answer.content


@contextmanager
def annotator(config: Settings, logs: Path, error_rate: float, seed: int = 0) -> Iterator[Annotator]:
    """An annotator, signed in at a console that runs meanwhile on a port of its own.

    Raises ServiceUnavailableError where the console does not answer.
    """
    tree, password = reveal(config), new_password()
    port = any_free_port()
    tree["console"] |= {"port": port, "host": "127.0.0.1", "secret": secrets.token_urlsafe(24)}
    own = build(tree)
    with session(own) as connection:
        add_user(connection, NAME, "annotator", password)
    address = f"http://127.0.0.1:{port}"
    environment = clean_environment(environment_of(own))
    with running(["console"], logs / "loop-console.log", environment) as job, requests.Session() as client:
        # of the page that the answers come from; without it the console takes no answer
        client.headers["origin"] = address
        _sign_in(client, address, password, job)
        yield Annotator(own, address, client, job, error_rate=error_rate, seed=seed)


def _sign_in(client: requests.Session, address: str, password: str, job: Job) -> None:
    deadline, said = time.monotonic() + _START_SECONDS, ""
    while time.monotonic() < deadline and job.exit_code is None:
        try:
            answer = client.post(
                f"{address}/signin",
                data={"name": NAME, "password": password},
                allow_redirects=False,
                timeout=_TIMEOUT,
            )
            if answer.status_code == requests.codes.see_other:
                return
            said = f" (it answered {answer.status_code})"
        except requests.ConnectionError:
            pass
        time.sleep(_POLL_SECONDS)
    raise ServiceUnavailableError(f"the console does not let the annotator in{said}: {job.last_line()}")
