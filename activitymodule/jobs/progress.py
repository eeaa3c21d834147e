"""Progress bars of the verbs that train."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


@contextmanager
def progress_bars(hidden: bool) -> Iterator[Callable[[str], Callable[[int, int], None]]]:
    """Progress bars on stderr, one for each text."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=hidden) as bars:

        def begin(text: str) -> Callable[[int, int], None]:
            bar = bars.add_task(text, total=None)
            return lambda done, of: bars.update(bar, completed=done, total=of)

        yield begin
