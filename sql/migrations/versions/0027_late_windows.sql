-- The task that decodes a late reading writes its window here before the batch ends, so that none is forgotten. The
-- scorer scores such windows from the archive and deletes their rows in the transaction that smooths them.
CREATE TABLE late_windows (
    topic         text        NOT NULL,
    device_id     text        NOT NULL,
    window_start  timestamptz NOT NULL,
    window_end    timestamptz NOT NULL,
    arrived_from  timestamptz NOT NULL,
    arrived_until timestamptz NOT NULL,
    noticed_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (topic, device_id, window_start)
);
CREATE INDEX late_windows_noticed ON late_windows (topic, noticed_at);
COMMENT ON COLUMN batches.dropped_late IS 'Panes older than the watermark; they are scored from the archive';
COMMENT ON TABLE late_windows IS 'Windows with readings later than the watermark that are not scored yet';
COMMENT ON COLUMN late_windows.arrived_from IS 'No late reading of the window reached Kafka before';
COMMENT ON COLUMN late_windows.arrived_until IS 'No late reading of the window that was noticed reached Kafka after';

-- Minute by minute along the index, newest first: whoever asks for some minutes, or for the newest ones, does not read
-- the others.
CREATE OR REPLACE VIEW throughput_by_minute AS
SELECT minutes.minute, found.*
FROM (
    SELECT minute FROM generate_series(
        (SELECT date_trunc('minute', min(processed_at)) FROM predictions),
        (SELECT max(processed_at) FROM predictions), interval '1 minute') AS series (minute)
    ORDER BY minute DESC
) AS minutes
CROSS JOIN LATERAL (
    SELECT count(*) AS windows,
           count(*) FILTER (WHERE activity IS NULL) AS without_activity,
           sum(readings_used) AS readings,
           sum(duplicates) AS duplicates,
           count(DISTINCT device_id) AS watches,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM processed_at - received_at))
               AS latency_p50_seconds,
           percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM processed_at - received_at))
               AS latency_p95_seconds
    FROM predictions
    WHERE processed_at >= minutes.minute AND processed_at < minutes.minute + interval '1 minute'
) AS found
WHERE found.windows > 0;
