"""Fixtures for tests that need services or the shared data. Nothing starts unasked.

`stack` starts PostgreSQL, Kafka and MLflow once a session, on free ports in a temporary folder;
`fresh_settings` gives a test a database, topics, model names and folders of its own on them.
TEST_SERVICES says what they are: `embedded` (the default), or `containers` of a Docker engine.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from made_once import made_once
from own_settings import register_champion, replaced, settings_of_ones_own
from verbs import Verbs

from activitymodule import settings as config
from activitymodule.settings import Settings

_CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
KINDS_OF_SERVICES = ("embedded", "containers")
SERVICES = os.environ.get("TEST_SERVICES") or "embedded"
# fixtures that start a service, Spark or a browser, or that only tests which do so ask for
SERVICE_FIXTURES = {
    "stack",
    "embedded",
    "browser",
    "spark",
    "cluster",
    "observed",
    "system",
    "aws",
    "case",
    "google",
    "bigquery_server",
}
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a background process of a shell script ignores SIGINT, and so would the verbs that tests start and interrupt
    signal.signal(signal.SIGINT, signal.default_int_handler)
# the jars of another Spark than the one that requirements.lock pins (.ci/spark42)
SPARK_JARS = os.environ.get("TEST_SPARK_JARS")


# brokers and jobs of some seconds end before what Java's second compiler makes for them pays off
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=128m")

# how long an example takes is this machine's business
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_configure() -> None:
    if SERVICES not in KINDS_OF_SERVICES:
        raise pytest.UsageError(
            f"TEST_SERVICES must be {' or '.join(KINDS_OF_SERVICES)} (given: {SERVICES!r})"
        )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what needs a service or recordings, so that `make unit` leaves it out. Files that run whole jobs come
    first, and those without a service last: a long file that is begun last has the machine to itself."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if SERVICE_FIXTURES & fixtures:
            item.add_marker(pytest.mark.integration)
        if "data_folder" in fixtures:
            item.add_marker(pytest.mark.recordings)
    ranks: dict[Path, int] = {}
    for item in items:
        marks = {mark.name for mark in item.iter_markers()}
        rank = min(
            place for place, mark in enumerate(("e2e", "integration", "")) if not mark or mark in marks
        )
        ranks[item.path] = min(rank, ranks.get(item.path, rank))
    items.sort(key=lambda item: ranks[item.path])


def pytest_report_header() -> str:
    return f"services: {SERVICES}"


@pytest.fixture(scope="session")
def embedded() -> None:
    """Asked for by tests of the embedded stack's own processes, which skip where services are containers."""
    if SERVICES != "embedded":
        pytest.skip("a test of the embedded stack itself; TEST_SERVICES=embedded runs it")


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The recordings that are not part of the project: ACTIVITYDATA, or shared/data beside the checkout."""
    named = os.environ.get("ACTIVITYDATA")
    folder = Path(named) if named else config.project_root().parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"there are no recordings at {folder}; set ACTIVITYDATA to their folder")
    return folder


@pytest.fixture(scope="session")
def stack_settings() -> Iterator[Settings]:
    """Settings of the session's stack: free ports, new passwords, a temporary folder. Starts nothing."""
    from activitymodule.embedded.processes import any_free_port

    # not pytest's own temporary folder: PostgreSQL's user must pass through it where we are root
    folder = Path(tempfile.mkdtemp(prefix="activity-tests-"))
    folder.chmod(0o711)
    yield replaced(
        config.load({}),
        local={"folder": str(folder / "local"), "artifacts": str(folder / "artifacts")},
        store={
            "port": any_free_port(),
            "password": secrets.token_urlsafe(16),
            "admin_password": secrets.token_urlsafe(16),
        },
        kafka={"bootstrap_servers": f"127.0.0.1:{any_free_port()}", "partitions": 2},
        registry={
            "uri": f"http://127.0.0.1:{any_free_port()}",
            "password": secrets.token_urlsafe(16),
        },
        spark={
            "checkpoints": str(folder / "checkpoints"),
            "driver_memory": "2g",
            **({"jars": SPARK_JARS} if SPARK_JARS else {}),
        },
        # a batch at once after the other would take all of a core for as long as a test waits for something else
        scoring={"trigger_milliseconds": 1000, "prompt_seconds": 0},
        archive={"folder": str(folder / "lake" / "archive")},
        lake={"folder": str(folder / "lake")},
        reports={"folder": str(folder / "reports")},
        # the sender is started by its own tests; the stores of the others have an outbox all the same
        events={"enabled": False},
    )
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def stack(stack_settings: Settings) -> Iterator[Any]:
    """The session's running services, a `Stack` or `Containers`; they end when this process does."""
    if SERVICES == "containers":
        from containers import Containers as Services
        from containers import why_no_engine

        if reason := why_no_engine():
            pytest.skip(reason)
    else:
        from activitymodule.embedded.stack import Stack as Services

    running: Any = Services(stack_settings)
    try:
        running.up(tied=True)
        yield running
    finally:
        if SERVICES == "embedded":
            _end_at_once(str(running.folder))
        else:
            running.down()


def _end_at_once(folder: str) -> None:
    """Ends an embedded stack whose data nobody wants: in order, its services may take a minute."""
    import psutil

    from activitymodule.embedded.processes import marked, wait_until

    def over(process: psutil.Process) -> bool:
        try:
            return process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    ours = marked(folder)
    for process in ours:
        with contextlib.suppress(psutil.Error):
            # PostgreSQL gives its shared memory back, and ends at once all the same
            process.send_signal(signal.SIGQUIT if process.name() == "postgres" else signal.SIGKILL)
    # a system may take seconds to see to those that have ended
    wait_until(lambda: all(map(over, ours)), 10)


@pytest.fixture
def with_topics() -> bool:
    """Whether Kafka has the topics of `fresh_settings`; where no test needs them, another fixture says that it has
    not: they take longer than the database."""
    return True


@pytest.fixture
def fresh_settings(stack: Any, tmp_path: Path, with_topics: bool) -> Iterator[Settings]:
    """Settings with a migrated database, three topics, model names and folders of their own."""
    with settings_of_ones_own(stack, tmp_path, with_topics=with_topics) as own:
        yield own


@pytest.fixture(scope="session")
def trained(stack_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of a small activity and a small energy model, trained once on a few synthesised people."""
    from activitymodule.workflows.training import Request, train

    def make(folder: Path) -> None:
        train(
            Request(what="both", data="synthetic", devices=6, minutes=10, folds=2, folder=folder),
            stack_settings,
        )

    return made_once(tmp_path_factory, "models", make)


@pytest.fixture(scope="session")
def weak_model(stack_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a classifier that learned from very few people: better ones are easily made."""
    from activitymodule.workflows.training import Request, train

    def make(folder: Path) -> None:
        train(
            Request(what="activity", data="synthetic", devices=3, minutes=10, seed=3, folds=2, folder=folder),
            stack_settings,
        )

    return made_once(tmp_path_factory, "weak", make) / "activity"


@pytest.fixture
def champion(fresh_settings: Settings, trained: Path) -> Any:
    """Both models registered under this test's names, and serving; the classifier's version."""
    return register_champion(fresh_settings, trained)


@pytest.fixture
def fresh_topic(fresh_settings: Settings) -> str:
    """The name of an empty topic, that of `fresh_settings`."""
    return fresh_settings.kafka.topic


@pytest.fixture(scope="session")
def verbs() -> Iterator[Verbs]:
    """Runs verbs of the command line, each in a process of its own, without the time to import everything."""
    with Verbs() as running:
        yield running


@pytest.fixture(scope="session")
def environment_of() -> Callable[[Settings], dict[str, str]]:
    """A function: settings -> the environment in which a process of ours sees just these settings."""
    from activitymodule.embedded.processes import clean_environment

    return lambda settings: clean_environment(config.environment_of(settings))


@pytest.fixture(scope="session")
def one_after_the_other(environment_of: Callable[[Settings], dict[str, str]]) -> Iterator[Callable[..., Any]]:
    """A function: settings, a verb and its arguments -> its end. All in one process, so that Java and Spark start
    once for all tests: a start takes nine times the processor time of a run."""
    with Verbs(fork=False) as verbs:
        yield lambda settings, *arguments: verbs.run(environment_of(settings), *arguments)


def _installed_chromium() -> str | None:
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A Chromium: the machine's own, else Playwright's."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        installed = _installed_chromium() or driver.chromium.executable_path
        if not installed or not os.path.exists(installed):
            pytest.skip(
                "no Chromium here; install one (apt-get install chromium, or playwright install chromium)"
            )
        opened = driver.chromium.launch(executable_path=installed, args=_CHROMIUM)
        yield opened
        opened.close()
