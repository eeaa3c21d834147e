"""The strata of the annotation queue: why a window was queued."""

from __future__ import annotations

AUDIT = "audit"  # drawn at random: these labels alone evaluate models, and no model learns from them
COLD = "cold"  # chosen for its typicality, while labels are few
DOUBT = "doubt"  # chosen for its doubt
STRATA = (AUDIT, COLD, DOUBT)

SPAN = (
    "span"  # not of the queue: windows under a span that a person remembers; they teach, and never evaluate
)
