"""Dashboard Pipeline: from the messages of the watches to the stored predictions."""

from __future__ import annotations

from boards.panels import dashboard, prom, series, sql, stat, steps, table

DASHBOARD = dashboard(
    "activity-pipeline",
    "Pipeline",
    "From the messages of the watches to the stored predictions: throughput, latency, lag and dead letters.",
    [
        stat(
            "Alerts",
            "Alerts that fire now. docs/monitoring.md explains each; Prometheus lists them under Alerts.",
            prom('count(ALERTS{alertstate="firing"}) or vector(0)', instant=True),
            unit="short",
            thresholds=steps((1, "red")),
        ),
        stat(
            "Watches",
            "Watches with a window in the last minute.",
            prom("sum(activity_watches) or vector(0)"),
            unit="short",
            thresholds=steps((1, "green"), base="orange"),
        ),
        stat(
            "Readings scored",
            "Readings in the windows of the last minute, a second. A watch sends 10 readings a second.",
            prom("sum(activity_readings_last_minute) / 60"),
            unit="reads/s",
        ),
        stat(
            "Latency, p95",
            "From a window's newest reading in Kafka to its row, over the last minute.",
            prom('max(activity_latency_quantile_seconds{quantile="0.95"})'),
            unit="s",
            thresholds=steps((2, "orange"), (10, "red")),
            none="no windows",
        ),
        stat(
            "Lag as time",
            "How long the unscored messages took to arrive.",
            prom("activity:lag_seconds"),
            unit="s",
            thresholds=steps((30, "orange"), (60, "red")),
        ),
        stat(
            "Disk, free",
            "Free share of the disk that holds the lake and the checkpoints; of several disks, the fullest.",
            prom("min(activity_disk_free_bytes / activity_disk_total_bytes)"),
            unit="percentunit",
            thresholds=steps((0.03, "orange"), (0.1, "green"), base="red"),
        ),
        series(
            "Messages",
            "Messages a second that reach the broker, and that the scorer reads. If the scorer stays below, the lag "
            "grows.",
            prom("sum(rate(activity_broker_messages_total[$__rate_interval]))", "arriving"),
            prom('sum(spark_streaming_inputRate_total{query="score"})', "read by the scorer"),
            unit="mps",
        ),
        series(
            "Windows of the last minute",
            "Windows written, and windows that have ended without an activity (too few readings).",
            prom("sum(activity_windows_last_minute)", "written"),
            prom("sum(activity_windows_without_activity_last_minute)", "without an activity"),
            unit="short",
        ),
        series(
            "Latency",
            "From a window's newest reading in Kafka to its row: median and 95th percentile.",
            prom('max by (quantile) (activity_latency_quantile_seconds)', "p{{quantile}}"),
            unit="s",
        ),
        series(
            "Windows in time",
            "Share of the windows of the last minute that were written within 0.5, 1, 2 and 10 seconds.",
            prom(
                'sum by (le) (activity_latency_last_minute_windows{le=~"0.5|1|2|10"}) / on () group_left () '
                '(sum(activity_latency_last_minute_windows{le="+Inf"}) > 0)',
                "within {{le}} s",
            ),
            unit="percentunit",
            most=1,
        ),
        series(
            "Lag",
            "Unscored messages by partition. The messages of one batch are normal.",
            prom("sum by (partition) (activity_lag_messages)", "partition {{partition}}"),
            unit="short",
            stack="normal",
        ),
        series(
            "Lag over time",
            "How long the unscored messages took to arrive. The alert LagStaysHigh fires above the line.",
            prom("activity:lag_seconds", "lag"),
            unit="s",
            limit=60,
        ),
        series(
            "Archive, lag",
            "Messages in Kafka that are not archived yet. The archive is written once a minute "
            "(archive.interval_seconds); if the line only rises, it has stopped.",
            prom("sum(activity_archive_lag_messages)", "messages"),
            unit="short",
        ),
        series(
            "Archive, stopped",
            "How long the archive has not been written (0: it is). `activity status` shows the reason.",
            prom("max(activity_archive_failing_seconds)", "stopped for"),
            unit="s",
            limit=120,
        ),
        series(
            "Batches",
            "Duration of the batches: median and longest, from the table batches.",
            sql("""
                SELECT $__timeGroupAlias(started_at, $__interval),
                       percentile_cont(0.5) WITHIN GROUP (
                           ORDER BY extract(epoch FROM finished_at - started_at)::float8) AS median,
                       max(extract(epoch FROM finished_at - started_at))::float8 AS longest
                FROM batches
                WHERE $__timeFilter(started_at) AND finished_at IS NOT NULL
                GROUP BY 1 ORDER BY 1
            """),
            unit="s",
            least="10s",
        ),
        series(
            "Trigger",
            "From the beginning of a batch to that of the next, with the pause of scoring.trigger_milliseconds.",
            prom("sum by (query) (spark_streaming_latency) / 1000", "{{query}}"),
            unit="s",
        ),
        series(
            "State",
            "Windows that Spark keeps in its state for late readings: about watches x watermark / slide.",
            prom('sum(spark_streaming_states_rowsTotal{query="score"})', "windows"),
            unit="short",
            w=8,
        ),
        series(
            "State, size",
            "Size of the state. If it does not fit in memory, set ACTIVITY_SPARK__STATE_STORE=rocksdb.",
            prom('sum(spark_streaming_states_usedBytes{query="score"})', "state"),
            unit="bytes",
            w=8,
        ),
        series(
            "Executors, heap",
            "Java heap of each executor, from its last heartbeat.",
            prom("sum by (executor_id) (spark_executor_JVMHeapMemory_bytes)", "{{executor_id}}"),
            unit="bytes",
            w=8,
        ),
        series(
            "Cluster",
            "Spark's workers and their cores. Empty on the embedded stack, which runs Spark in one process.",
            prom("sum(spark_master_aliveWorkers)", "workers"),
            prom("sum(spark_worker_coresUsed)", "cores in use"),
            prom("sum(spark_worker_coresFree)", "cores free"),
            unit="short",
            w=8,
        ),
        series(
            "Dead letters",
            "Messages and readings that were refused, by reason.",
            sql("""
                SELECT $__timeGroupAlias(noticed_at, $__interval), reason AS metric, count(*) AS letters
                FROM dead_letters
                WHERE $__timeFilter(noticed_at)
                GROUP BY 1, 2 ORDER BY 1, 2
            """),
            unit="short",
            stack="normal",
            bars=True,
            least="10s",
            w=8,
        ),
        table(
            "Dead letters by reason",
            "In the time shown. `activity dead-letters summary` shows an example of each reason.",
            sql(
                """
                SELECT reason, count(*) AS letters, count(replayed_at) AS "sent again",
                       max(noticed_at) AS "last noticed"
                FROM dead_letters
                WHERE $__timeFilter(noticed_at)
                GROUP BY reason ORDER BY letters DESC
                """,
                table=True,
            ),
            w=8,
        ),
    ],
)  # fmt: skip
