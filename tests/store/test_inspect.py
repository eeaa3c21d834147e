"""Read-only queries of users, and the summary."""

from __future__ import annotations

import pytest

from activitymodule.errors import ConfigError
from activitymodule.store.dead_letters import write_dead_letters
from activitymodule.store.inspect import ask
from activitymodule.store.live import count_dead_letters

integration = pytest.mark.integration


@integration
def test_ask_reads_and_only_reads(fresh_settings, connection, make_letters):
    write_dead_letters(connection, make_letters())
    connection.commit()
    answer = ask(
        fresh_settings, "SELECT item, item, kafka_offset FROM dead_letters ORDER BY kafka_offset;\n", limit=2
    )
    assert answer.columns == ("item", "item_2", "kafka_offset")
    assert (answer.rows, answer.more) == ([(-1, -1, 0), (-1, -1, 1)], True)
    for statement in (
        "DELETE FROM dead_letters",
        "COMMIT; DELETE FROM dead_letters",
        "WITH gone AS (DELETE FROM dead_letters RETURNING *) SELECT * FROM gone",
        "SELECT refresh_smoothed(array['a'], array[now()], 6, .8), set_config('transaction_read_only', 'off', false)",
        "SELEC 1",
        "SELECT * FROM nix",
    ):
        with pytest.raises(ConfigError):
            ask(fresh_settings, statement)
    with pytest.raises(ConfigError):
        ask(fresh_settings, "SELECT pg_sleep(10)", seconds=0.2)
    assert count_dead_letters(connection) == 3
