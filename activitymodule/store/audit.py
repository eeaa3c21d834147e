"""What a model says of a window of the audit share stays hidden until the window has its labels.

These labels evaluate models, and an annotator who sees a prediction tends to follow it. Every query whose result people
see in the console uses HIDDEN; the views and tables themselves hide nothing.
"""

from __future__ import annotations

HELD_BACK = "audit window, hidden until it is labelled"

# of a row p with device_id, window_start and window_end; windows that overlap the audit window share its readings.
# A window is at most ten minutes long, which the index on the start needs to know.
HIDDEN = """
EXISTS (SELECT FROM queue_items q WHERE q.device_id = p.device_id AND q.stratum = 'audit' AND q.closed_at IS NULL
        AND q.expires_at > clock_timestamp() AND q.window_start < p.window_end AND q.window_end > p.window_start
        AND q.window_start > p.window_start - interval '10 minutes')
"""
