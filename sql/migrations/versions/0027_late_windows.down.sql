COMMENT ON COLUMN batches.dropped_late IS 'Panes older than the watermark; `activity backfill` scores them';
DROP TABLE late_windows;

CREATE OR REPLACE VIEW throughput_by_minute AS
SELECT date_trunc('minute', processed_at) AS minute,
       count(*) AS windows,
       count(*) FILTER (WHERE activity IS NULL) AS without_activity,
       sum(readings_used) AS readings,
       sum(duplicates) AS duplicates,
       count(DISTINCT device_id) AS watches,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM processed_at - received_at))
           AS latency_p50_seconds,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM processed_at - received_at))
           AS latency_p95_seconds
FROM predictions
GROUP BY 1;
