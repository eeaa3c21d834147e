"""What every page needs: the settings, and the store off the event loop, through pooled connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from activitymodule.settings import Settings
from activitymodule.settings import settings as read_settings
from activitymodule.store.connection import Connection
from activitymodule.store.pool import Pool

_WORKERS = 8
_READ_SECONDS = 15
_WRITE_SECONDS = 30

T = TypeVar("T")


def settings() -> Settings:
    """The settings in force."""
    return read_settings()


def _pool(*, read_only: bool, statement_seconds: int) -> Pool:
    return Pool(
        settings,
        application_name="activity console",
        read_only=read_only,
        statement_seconds=statement_seconds,
        size=_WORKERS,
    )


_reading = _pool(read_only=True, statement_seconds=_READ_SECONDS)
_writing = _pool(read_only=False, statement_seconds=_WRITE_SECONDS)
_threads = ThreadPoolExecutor(_WORKERS, thread_name_prefix="console")


def read(work: Callable[[Connection], T], *, alone: bool = False) -> T:
    """`work(connection)` with a read-only connection. Blocks: pages await `run(read, work)`.

    alone : each statement is a transaction of its own, for what is asked often
    """
    return _reading.run(work, alone=alone)


def write(work: Callable[[Connection], T], *, alone: bool = False) -> T:
    """`work(connection)` in one transaction, or as for `read`. Blocks: pages await `run(write, work)`."""
    return _writing.run(work, alone=alone)


async def run(function: Callable[..., T], *arguments: Any, **named: Any) -> T:
    """A function that blocks, in a thread of the console's own."""
    work = partial(function, *arguments, **named)
    return await asyncio.get_running_loop().run_in_executor(_threads, work)


async def run_read(work: Callable[[Connection], T]) -> T:
    """`read` off the event loop."""
    return await run(read, work)


async def run_write(work: Callable[[Connection], T]) -> T:
    """`write` off the event loop."""
    return await run(write, work)


def close() -> None:
    """Close the pooled connections."""
    _reading.close()
    _writing.close()
