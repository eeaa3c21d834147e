"""Windows that wait for a reviewer."""

from __future__ import annotations

from console_process import Console

from activitymodule.store import answers, leases


def disagree(console: Console) -> tuple[int, int]:
    """One window on which two people disagree, and one that was flagged; their items."""
    connection = console.connect()
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT item_id FROM queue_items ORDER BY item_id LIMIT 2")
        disputed, flagged = (row[0] for row in cursor.fetchall())
        cursor.execute("UPDATE queue_items SET required_labels = 2 WHERE item_id = %s", (disputed,))
        for who in ("bob", "cleo"):
            leases.lease_these(connection, [disputed, flagged], who, 5)
        answers.answer(connection, disputed, "bob", "label", "walking", minutes=5)
        answers.answer(connection, disputed, "cleo", "label", "sitting", minutes=5)
        answers.answer(connection, flagged, "bob", "flag", minutes=5, note="the <b>strap</b> was loose")
    connection.close()
    return disputed, flagged
