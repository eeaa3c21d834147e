"""Messages to readings: whole batches by a scanner and Arrow's JSON reader, message by message only where they fail.

Every item of every message ends as a reading or as a dead letter with a Reason. The fast path (`fast`, on
`scanner` and `lines`) takes only what RFC 8259 leaves no doubt about and hands the rest to the slow path (`slow`); both
share one `validation`. What a message becomes does not depend on its batch, to the last bit.
"""

from activitymodule.telemetry.decoding.messages import decode_messages, decode_rows
from activitymodule.telemetry.decoding.results import DEAD_SCHEMA, Decoded, Rows
from activitymodule.telemetry.decoding.stamps import parse_stamps

__all__ = ["DEAD_SCHEMA", "Decoded", "Rows", "decode_messages", "decode_rows", "parse_stamps"]
