"""One colour an activity, the same on every page.

The first eight were searched for the largest least distance (CIELAB) in normal vision and in full protanopia,
deuteranopia and tritanopia (Machado, Oliveira, Fernandes 2009), each with at least 3:1 against the white and the
dark ground. An activity is always named beside its colour, so that nothing hangs on the colour alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

COLOURS: tuple[str, ...] = (
    "#005ae1",  # blue
    "#e1780f",  # orange
    "#5aa55a",  # green
    "#a52da5",  # purple
    "#c31e1e",  # red
    "#4b96f0",  # light blue
    "#c378b4",  # rose
    "#c31e69",  # crimson
    "#0f8f8f",  # teal
    "#8f6a1e",  # brown
    "#6f7f2a",  # olive
    "#6b6bd6",  # indigo
)
UNKNOWN = "#7d8794"  # no activity: a window that was not scored

# what the shipped recordings know keeps its colour whatever else a label set holds
_KNOWN = {
    "walking": COLOURS[0],
    "jogging": COLOURS[1],
    "stairs": COLOURS[3],
    "sitting": COLOURS[2],
    "standing": COLOURS[5],
    "kicking": COLOURS[4],
}


def colour(label: str | None) -> str:
    """The colour of one activity, by its name alone: the same on every page and for every model version."""
    if not label:
        return UNKNOWN
    known = _KNOWN.get(label)
    return known or COLOURS[int.from_bytes(sha256(label.encode()).digest()[:4], "big") % len(COLOURS)]


def colours(labels: Iterable[str]) -> dict[str, str]:
    """A colour for each label of a set; no two alike as long as there are enough."""
    taken: dict[str, str] = {}
    later: list[str] = []
    for label in sorted(set(labels)):
        wish = colour(label)
        if label in _KNOWN or wish not in {*_KNOWN.values(), *taken.values()}:
            taken[label] = wish
        else:
            later.append(label)
    for label in later:
        free = [one for one in COLOURS if one not in taken.values()]
        taken[label] = free[0] if free else colour(label)
    return taken
