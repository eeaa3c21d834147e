"""What goes wrong on the way: silences, late bursts, duplicates, wrong clocks, broken messages, stuck
sensors.

Every fault is decided by hash from (seed, device, time), so that a run has the same faults
however it is cut into tasks, and so that it is known beforehand exactly what will be sent (`ledger`).

- gap, late, flat: an episode of a watch, in that share of its five-minute stretches. A gap is 20 to 90 s of
  silence. Late readings, 20 to 90 s of them, come at once 2 to 5 minutes after the last. A flat sensor
  repeats
  one acceleration for 30 to 120 s.
- duplicate, malformed: that share of messages. The second copy comes at once, or 3 or 20 s later.
- clock_skew: that share of watches, each with one of SKEWS_SECONDS added to every stamp.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from activitymodule.settings import Faults
from activitymodule.synthesis.attitude import RATE_HZ
from activitymodule.synthesis.draws import integer, uniform

STRETCH_SECONDS = 300
COPY_SECONDS = (0, 3, 20)
SKEWS_SECONDS = (86_400, 3_600, -3_600, -45, 45)


class Malformed(StrEnum):
    """How a message is broken; the value is the reason of its dead letter (telemetry.reasons.Reason)."""

    EMPTY = "empty"
    CUT_OFF = "not_json"
    WRONG_ENCODING = "wrong_encoding"
    NUMBER = "not_an_object"
    NO_DEVICE = "no_device_id"
    NO_STAMP = "no_stamp"
    BAD_STAMP = "bad_stamp"
    WRONG_TYPE = "wrong_type"
    NOT_FINITE = "not_finite"
    OUT_OF_RANGE = "out_of_range"

    @property
    def whole(self) -> bool:
        """Whether no reading of the message survives; otherwise only its first one is lost."""
        return self in (Malformed.EMPTY, Malformed.CUT_OFF, Malformed.WRONG_ENCODING, Malformed.NUMBER)


KINDS = tuple(Malformed)


@dataclass(frozen=True)
class Run:
    """What one run of the fleet is: who, when, in which messages, with which faults."""

    seed: int
    devices: int
    first_second: int  # UTC
    last_second: int | None = None  # None: it does not end by itself
    readings_per_message: int = 10
    reference: str = "wisdm"
    faults: Faults = field(default_factory=Faults)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Readings in each of the messages of one second."""
        whole, rest = divmod(RATE_HZ, self.readings_per_message)
        return (self.readings_per_message,) * whole + ((rest,) if rest else ())

    @property
    def flawless(self) -> bool:
        """Whether the run has no faults."""
        return not any(self.faults.model_dump().values())


@dataclass(frozen=True)
class Letters:
    """Messages to send, m of them, in the order of sending.

    row : index of the (device, second) row at which each is sent; second : the UTC second it is about; part :
    which message of that second; copy : whether it was sent before.
    """

    row: np.ndarray
    second: np.ndarray
    part: np.ndarray
    copy: np.ndarray


@dataclass(frozen=True)
class Faulty:
    """The faults of a run, as functions of (device, second) arrays of shape (n,)."""

    run: Run

    def silent(self, device: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Whether the watch sends nothing for that second; bool of shape (n,)."""
        start, length = self._episode("gap", self.run.faults.gap, device, second // STRETCH_SECONDS)
        return (second >= start) & (second < start + length)

    def flat(self, device: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Whether the watch repeats one reading in that second; bool of shape (n,)."""
        start, length = self._episode("flat", self.run.faults.flat, device, second // STRETCH_SECONDS)
        return (second >= start) & (second < start + length)

    def delivered(self, device: np.ndarray, second: np.ndarray) -> np.ndarray:
        """The second at which the readings of a second are sent: the same one, but for late bursts."""
        start, length, burst = self._burst(device, second // STRETCH_SECONDS)
        return self._within(np.where((second >= start) & (second < start + length), burst, second))

    def skew(self, device: np.ndarray) -> np.ndarray:
        """Seconds by which a watch's clock is ahead, 0 for most."""
        wrong = uniform("skewed", self.run.seed, device) < self.run.faults.clock_skew
        which = integer("skew", 0, len(SKEWS_SECONDS) - 1, self.run.seed, device)
        return np.where(wrong, np.array(SKEWS_SECONDS)[which], 0)

    def malformed(self, device: np.ndarray, second: np.ndarray, part: np.ndarray) -> np.ndarray:
        """Index into KINDS, -1 for a sound message."""
        broken = uniform("malformed", self.run.seed, device, second, part) < self.run.faults.malformed
        return np.where(broken, integer("kind", 0, len(KINDS) - 1, self.run.seed, device, second, part), -1)

    def copied(self, device: np.ndarray, second: np.ndarray, part: np.ndarray) -> np.ndarray:
        """Seconds after which a sound message comes again, -1 for never; what is late is copied at once."""
        seed = self.run.seed
        twice = uniform("duplicate", seed, device, second, part) < self.run.faults.duplicate
        after = np.array(COPY_SECONDS)[integer("copy", 0, len(COPY_SECONDS) - 1, seed, device, second, part)]
        after = np.where(self.delivered(device, second) == second, after, 0)
        return np.where(twice & (self.malformed(device, second, part) < 0), after, -1)

    def letters(self, device: np.ndarray, second: np.ndarray) -> Letters:
        """What is sent when the fleet comes to the rows (device, second): own readings, late ones, copies."""
        rows = np.arange(len(device))
        if self.run.flawless:
            parts = len(self.run.sizes)
            return Letters(
                np.repeat(rows, parts),
                np.repeat(second, parts),
                np.tile(np.arange(parts), len(device)),
                np.zeros(len(device) * parts, bool),
            )
        # candidates: a row, and a second whose messages may be due there
        row, about = [rows], [second]
        ends = second == self.run.last_second
        if self.run.faults.late:
            for back in range(3):
                start, length, burst = self._burst(device, second // STRETCH_SECONDS - back)
                for index in np.nonzero((burst == second) | (ends & (burst > second)))[0].tolist():
                    row.append(np.full(int(length[index]), index))
                    about.append(start[index] + np.arange(length[index]))
        if self.run.faults.duplicate:
            for wait in range(1, max(COPY_SECONDS) + 1):
                due = rows if wait in COPY_SECONDS else np.nonzero(ends)[0]
                row.append(due)
                about.append(second[due] - wait)
        candidates = np.unique(np.stack([np.concatenate(row), np.concatenate(about)], 1), axis=0)
        # what was measured before the run began is not sent, nor what is still to be measured
        measured = (candidates[:, 1] >= self.run.first_second) & (
            candidates[:, 1] <= second[candidates[:, 0]]
        )
        candidates = candidates[measured]

        parts = len(self.run.sizes)
        at, due_second = np.repeat(candidates, parts, axis=0).T
        part = np.tile(np.arange(parts), len(candidates))
        who, now = device[at], second[at]
        sent = self.delivered(who, due_second)
        after = self.copied(who, due_second, part)
        spoken = ~self.silent(who, due_second)
        first = np.nonzero(spoken & (sent == now))[0]
        again = np.nonzero(spoken & (after >= 0) & (self._within(sent + after) == now))[0]
        order = np.concatenate([first, again])
        copy = np.arange(len(order)) >= len(first)
        # at each row the first copies come first, each in the order of time
        arranged = np.lexsort((part[order], due_second[order], copy, at[order]))
        order, copy = order[arranged], copy[arranged]
        return Letters(at[order], due_second[order], part[order], copy)

    def _within(self, second: np.ndarray) -> np.ndarray:
        """What would come after the end of the run comes with its last second."""
        return second if self.run.last_second is None else np.minimum(second, self.run.last_second)

    def _episode(
        self, name: str, share: float, device: np.ndarray, stretch: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Start and length of the episode of a five-minute stretch; length 0 where there is none."""
        seed = self.run.seed
        there = uniform(name, seed, device, stretch) < share
        low, high = (30, 120) if name == "flat" else (20, 90)
        start = stretch * STRETCH_SECONDS + integer(name + " start", 0, 150, seed, device, stretch)
        return start, np.where(there, integer(name + " length", low, high, seed, device, stretch), 0)

    def _burst(self, device: np.ndarray, stretch: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Start and length of a late episode, and the second at which all of it is sent (-1: none)."""
        start, length = self._episode("late", self.run.faults.late, device, stretch)
        wait = integer("late wait", 120, 300, self.run.seed, device, stretch)
        return start, length, np.where(length > 0, start + length + wait, -1)


@dataclass(frozen=True)
class Ledger:
    """Exactly what a bounded run sends.

    readings_made = readings_good + readings_silent + readings_broken; each good one arrives at least once.
    """

    readings_made: int  # devices x seconds x 10
    readings_silent: int  # never sent
    readings_broken: int  # sent in a form that cannot be used
    readings_good: int  # distinct (device, stamp) that can be used, whatever the stamp
    readings_duplicate: int  # good ones sent again
    readings_late: int  # of the good ones, sent later than measured
    readings_flat: int  # of the good ones, from a stuck sensor
    readings_by_skew: dict[int, int]  # of the good ones: seconds the clock is ahead -> readings
    messages: int  # all that is sent to the topic of readings
    malformed: dict[str, int]  # reason -> messages broken in that way, one dead letter each


def ledger(run: Run, *, devices_at_once: int = 50) -> Ledger:
    """What a bounded run will send. Computed without the signals, so that it is quick for long runs."""
    if run.last_second is None:
        raise ValueError("a run without an end has no ledger")
    faulty, sizes = Faulty(run), np.array(run.sizes)
    seconds = np.arange(run.first_second, run.last_second + 1)
    count: Counter[str] = Counter()
    skews: Counter[int] = Counter()
    kinds: Counter[str] = Counter()
    for first in range(1, run.devices + 1, devices_at_once):
        numbers = np.arange(first, min(first + devices_at_once, run.devices + 1))
        parts = len(sizes)
        device = np.repeat(numbers, len(seconds) * parts)
        second = np.tile(np.repeat(seconds, parts), len(numbers))
        part = np.tile(np.arange(parts), len(numbers) * len(seconds))
        size = sizes[part]
        spoken = ~faulty.silent(device, second)
        kind = np.where(spoken, faulty.malformed(device, second, part), -1)
        whole = np.array([k.whole for k in KINDS])[kind] & (kind >= 0)
        lost = np.where(kind < 0, 0, np.where(whole, size, 1))
        good = np.where(spoken, size - lost, 0)
        twice = spoken & (faulty.copied(device, second, part) >= 0)
        count.update(
            made=int(size.sum()),
            silent=int(size[~spoken].sum()),
            broken=int(lost.sum()),
            good=int(good.sum()),
            duplicate=int(good[twice].sum()),
            late=int(good[faulty.delivered(device, second) != second].sum()),
            flat=int(good[faulty.flat(device, second)].sum()),
            messages=int(spoken.sum() + twice.sum()),
        )
        skew = faulty.skew(device)
        for value in np.unique(skew).tolist():
            skews[value] += int(good[skew == value].sum())
        for index in np.unique(kind[kind >= 0]).tolist():
            kinds[KINDS[index].value] += int((kind == index).sum())
    return Ledger(
        count["made"],
        count["silent"],
        count["broken"],
        count["good"],
        count["duplicate"],
        count["late"],
        count["flat"],
        dict(skews),
        count["messages"],
        dict(kinds),
    )
