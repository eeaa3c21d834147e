-- What Grafana's user may read: what its dashboards show, and nothing of what people wrote or measured in particular.
-- tests/infra runs every panel as a user with just these rights.
GRANT USAGE ON SCHEMA public TO activity_reader;

-- public views
GRANT SELECT ON current_activity, bouts, throughput_by_minute, dead_letter_summary, predictions_readable
    TO activity_reader;

-- the stream
GRANT SELECT ON batches, model_versions, drift_alarms, gold_labels TO activity_reader;
GRANT SELECT (minute, model_version, windows, activities, confidence_sum, confidences)
    ON feature_minutes TO activity_reader;
GRANT SELECT (topic, kafka_partition, kafka_offset, item, reason, noticed_at, replayed_at)
    ON dead_letters TO activity_reader;

-- people and labels: no names, no notes, no readings
GRANT SELECT (item_id, device_id, window_start, window_end, stratum, reason, activity, model_version, queued_at,
              expires_at, closed_at, closed_because)
    ON queue_items TO activity_reader;
GRANT SELECT (annotation_id, item_id, device_id, window_start, answer, label, suggested, adjudicates, origin,
              seconds, created_at)
    ON annotations TO activity_reader;
GRANT SELECT (promotion_id, at, name, version, before, act, why, run_id) ON promotions TO activity_reader;
GRANT SELECT (run_id, started_at, finished_at, why, step, state, progress, says, challenger)
    ON retrain_runs TO activity_reader;
