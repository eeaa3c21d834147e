"""What every page needs: the settings, and the store off the event loop, through a few kept connections."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg2
import psycopg2.extras

from activitymodule.errors import ServiceUnavailableError
from activitymodule.settings import Settings
from activitymodule.settings import settings as read_settings
from activitymodule.store.connection import Connection, connect, explained

_WORKERS = 8
_READ_SECONDS = 15
_WRITE_SECONDS = 30

T = TypeVar("T")


def settings() -> Settings:
    """The settings in force."""
    return read_settings()


class _Pool:
    """Connections that are kept for the next one to use; at the most as many as there are threads."""

    def __init__(self, *, read_only: bool, seconds: int) -> None:
        self._read_only, self._seconds = read_only, seconds
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def _open(self) -> Any:
        connection = connect(settings(), application_name="activity console")
        connection.set_session(readonly=self._read_only)
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, false)", (f"{self._seconds * 1000}",))
        connection.commit()
        return connection

    def _take(self) -> Any:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            return self._open()

    @contextmanager
    def lend(self) -> Iterator[Any]:
        """A connection; committed at the end, rolled back on an error."""
        connection = self._take()
        try:
            with explained(settings()):
                yield connection
                connection.commit()
        except BaseException:
            if not connection.closed:
                try:
                    connection.rollback()
                except psycopg2.Error:
                    connection.close()
            raise
        finally:
            if not connection.closed:
                self._idle.put(connection)

    def use(self, work: Callable[[Any], T]) -> T:
        """Do `work(connection)` in one transaction. A kept connection may be dead since PostgreSQL was started
        anew: then the work, of which nothing was committed, is done once more on a new one."""
        try:
            with self.lend() as connection:
                return work(connection)
        except ServiceUnavailableError as error:
            if not isinstance(error.__cause__, psycopg2.OperationalError | psycopg2.InterfaceError):
                raise
            self.close()
            with self.lend() as connection:
                return work(connection)

    def close(self) -> None:
        while True:
            try:
                self._idle.get_nowait().close()
            except queue.Empty:
                return


_reading = _Pool(read_only=True, seconds=_READ_SECONDS)
_writing = _Pool(read_only=False, seconds=_WRITE_SECONDS)
_threads = ThreadPoolExecutor(_WORKERS, thread_name_prefix="console")


def query(sql: str, params: Mapping[str, Any] | Sequence[Any] | None = None) -> list[dict[str, Any]]:
    """Rows of a query as dicts, from a read-only connection. Blocks: pages await `run_query`."""

    def read(connection: Connection) -> list[dict[str, Any]]:
        with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
            cursor.execute(sql, params)
            return [dict(row) for row in cursor.fetchall()]

    return _reading.use(read)


def read(work: Callable[[Any], T]) -> T:
    """`work(connection)` with a read-only connection. Blocks: pages await `run(read, work)`."""
    return _reading.use(work)


def write(work: Callable[[Any], T]) -> T:
    """`work(connection)` in one transaction. Blocks: pages await `run(write, work)`."""
    return _writing.use(work)


async def run(function: Callable[..., T], *arguments: Any) -> T:
    """A function that blocks, in a thread of the console's own."""
    return await asyncio.get_running_loop().run_in_executor(_threads, function, *arguments)


async def run_query(
    sql: str, params: Mapping[str, Any] | Sequence[Any] | None = None
) -> list[dict[str, Any]]:
    """`query` off the event loop."""
    return await run(query, sql, params)


async def run_read(work: Callable[[Any], T]) -> T:
    """`read` off the event loop."""
    return await run(read, work)


async def run_write(work: Callable[[Any], T]) -> T:
    """`write` off the event loop."""
    return await run(write, work)


def close() -> None:
    """Close the kept connections."""
    _reading.close()
    _writing.close()
