-- Least privileges of each service on the store's tables. `activity db upgrade` applies this after every migration to
-- those of the roles that exist (roles.sql creates them; the embedded stack has none of them).
DO $grants$
DECLARE
    privilege record;
BEGIN
    FOR privilege IN
        SELECT rolname FROM pg_roles
        WHERE rolname IN ('activity_generator', 'activity_scorer', 'activity_console', 'activity_airflow',
                          'activity_reader', 'activity_sender')
    LOOP
        EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA public FROM %I', privilege.rolname);
        EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', privilege.rolname);
    END LOOP;

    FOR privilege IN
        SELECT granted.*, pg_class.oid::regclass AS relation
        FROM (VALUES
            ('activity_generator', 'participants', 'SELECT, INSERT, UPDATE'),
            ('activity_generator', 'participant_devices', 'SELECT, INSERT'),
            ('activity_generator', 'erased_periods', 'SELECT'),

            ('activity_scorer', 'predictions', 'SELECT, INSERT, UPDATE'),
            ('activity_scorer', 'batches', 'SELECT, INSERT, UPDATE, DELETE'),
            ('activity_scorer', 'archive_state', 'SELECT, INSERT, UPDATE, DELETE'),
            ('activity_scorer', 'late_windows', 'SELECT, INSERT, UPDATE, DELETE'),
            ('activity_scorer', 'dead_letters', 'SELECT, INSERT'),
            ('activity_scorer', 'model_versions', 'SELECT, INSERT, UPDATE'),
            ('activity_scorer', 'model_checks', 'SELECT, INSERT, UPDATE'),
            ('activity_scorer', 'model_exports', 'SELECT'),
            ('activity_scorer', 'promotions', 'SELECT'),
            ('activity_scorer', 'device_calibrations_in_force', 'SELECT'),
            ('activity_scorer', 'people', 'SELECT'),
            ('activity_scorer', 'participants', 'SELECT'),
            ('activity_scorer', 'participant_devices', 'SELECT'),
            ('activity_scorer', 'excluded_periods', 'SELECT'),
            ('activity_scorer', 'devices', 'SELECT, INSERT, UPDATE'),
            ('activity_scorer', 'feature_minutes', 'SELECT, INSERT, UPDATE, DELETE'),
            ('activity_scorer', 'drift_alarms', 'SELECT, DELETE'),
            ('activity_scorer', 'queue_items', 'SELECT, INSERT, UPDATE'),
            ('activity_scorer', 'queue_budget', 'SELECT, INSERT, UPDATE'),
            ('activity_scorer', 'audit_periods', 'SELECT, INSERT, UPDATE'),
            ('activity_scorer', 'annotations', 'SELECT'),
            ('activity_scorer', 'annotations_not_undone', 'SELECT'),
            ('activity_scorer', 'annotations_in_force', 'SELECT'),
            ('activity_scorer', 'gold_labels', 'SELECT'),
            ('activity_scorer', 'leases', 'SELECT'),
            ('activity_scorer', 'activity_events', 'SELECT, INSERT, UPDATE'),

            -- it ends the bouts of silent watches, and sends events to the topic and to webhooks
            ('activity_sender', 'predictions', 'SELECT'),
            ('activity_sender', 'participant_devices', 'SELECT'),
            ('activity_sender', 'activity_events', 'SELECT, INSERT, UPDATE'),
            ('activity_sender', 'event_senders', 'SELECT, INSERT, UPDATE'),
            ('activity_sender', 'webhooks', 'SELECT, INSERT, UPDATE, DELETE'),
            ('activity_sender', 'webhook_secrets', 'SELECT, INSERT, DELETE'),

            ('activity_console', '*', 'SELECT'),
            ('activity_console', 'users', 'INSERT, UPDATE'),
            ('activity_console', 'ingest_tokens', 'INSERT, UPDATE'),
            ('activity_console', 'annotations', 'INSERT'),
            ('activity_console', 'spans', 'INSERT'),
            ('activity_console', 'leases', 'INSERT, UPDATE, DELETE'),
            ('activity_console', 'queue_items', 'UPDATE'),
            ('activity_console', 'dead_letters', 'UPDATE'),
            ('activity_console', 'devices', 'INSERT, UPDATE'),
            ('activity_console', 'studies', 'INSERT'),
            ('activity_console', 'participants', 'INSERT, UPDATE'),
            ('activity_console', 'participant_devices', 'INSERT, UPDATE, DELETE'),
            ('activity_console', 'erased_periods', 'UPDATE'),
            ('activity_console', 'drift_alarms', 'INSERT, UPDATE, DELETE'),
            ('activity_console', 'feature_minutes', 'INSERT, UPDATE'),
            ('activity_console', 'model_versions', 'INSERT, UPDATE'),
            ('activity_console', 'model_checks', 'INSERT, UPDATE'),
            ('activity_console', 'model_exports', 'INSERT, UPDATE'),
            ('activity_console', 'promotions', 'INSERT'),
            -- without Airflow, the console starts retrainings itself
            ('activity_console', 'retrain_runs', 'INSERT, UPDATE'),
            ('activity_console', 'snapshots', 'INSERT'),

            -- retention (workflows/retention) deletes what nothing needs any more
            ('activity_airflow', 'predictions', 'SELECT'),
            ('activity_airflow', 'predictions_default', 'SELECT'),
            ('activity_airflow', 'prediction_days', 'SELECT'),
            ('activity_airflow', 'prediction_days_taken_out', 'SELECT'),
            ('activity_airflow', 'dead_letters', 'SELECT, DELETE'),
            ('activity_airflow', 'people', 'SELECT'),
            ('activity_airflow', 'participants', 'SELECT'),
            ('activity_airflow', 'participant_devices', 'SELECT'),
            ('activity_airflow', 'excluded_periods', 'SELECT'),
            ('activity_airflow', 'devices', 'SELECT'),
            ('activity_airflow', 'batches', 'SELECT, DELETE'),
            ('activity_airflow', 'activity_events', 'SELECT, DELETE'),
            ('activity_airflow', 'event_senders', 'SELECT'),
            ('activity_airflow', 'queue_items', 'SELECT, DELETE'),
            ('activity_airflow', 'audit_periods', 'SELECT'),
            ('activity_airflow', 'annotations', 'SELECT'),
            ('activity_airflow', 'annotations_not_undone', 'SELECT'),
            ('activity_airflow', 'annotations_in_force', 'SELECT'),
            ('activity_airflow', 'gold_labels', 'SELECT'),
            ('activity_airflow', 'spans_in_force', 'SELECT'),
            ('activity_airflow', 'participant_personas', 'SELECT, INSERT, UPDATE'),
            ('activity_airflow', 'alembic_version', 'SELECT'),
            ('activity_airflow', 'feature_minutes', 'SELECT, INSERT, UPDATE, DELETE'),
            ('activity_airflow', 'drift_alarms', 'SELECT, INSERT, UPDATE, DELETE'),
            ('activity_airflow', 'model_versions', 'SELECT, INSERT, UPDATE'),
            ('activity_airflow', 'model_checks', 'SELECT, INSERT, UPDATE'),
            ('activity_airflow', 'model_exports', 'SELECT, INSERT, UPDATE'),
            ('activity_airflow', 'snapshots', 'SELECT, INSERT, DELETE'),
            ('activity_airflow', 'retrain_runs', 'SELECT, INSERT, UPDATE, DELETE'),
            ('activity_airflow', 'promotions', 'SELECT, INSERT'),
            ('activity_airflow', 'daily_records', 'SELECT, INSERT, DELETE'),
            ('activity_airflow', 'device_calibrations', 'SELECT, INSERT'),
            ('activity_airflow', 'device_calibrations_in_force', 'SELECT'),

            -- dashboards read no users and no sensor readings, and of annotations neither names nor notes
            ('activity_reader', 'predictions', 'SELECT'),
            ('activity_reader', 'archive_state', 'SELECT'),
            ('activity_reader', 'batches', 'SELECT'),
            ('activity_reader', 'activity_events', 'SELECT'),
            ('activity_reader', 'event_senders', 'SELECT'),
            ('activity_reader', 'devices', 'SELECT'),
            ('activity_reader', 'participants', 'SELECT (participant, zone, study, withdrawn_at)'),
            ('activity_reader', 'participant_devices', 'SELECT'),
            ('activity_reader', 'model_versions', 'SELECT'),
            ('activity_reader', 'drift_alarms', 'SELECT'),
            ('activity_reader', 'gold_labels', 'SELECT'),
            ('activity_reader', 'device_calibrations', 'SELECT'),
            ('activity_reader', 'device_calibrations_in_force', 'SELECT'),
            ('activity_reader', 'current_activity', 'SELECT'),
            ('activity_reader', 'bouts', 'SELECT'),
            ('activity_reader', 'throughput_by_minute', 'SELECT'),
            ('activity_reader', 'dead_letter_summary', 'SELECT'),
            ('activity_reader', 'predictions_readable', 'SELECT'),
            -- by pseudonym
            ('activity_reader', 'daily_records', 'SELECT'),
            ('activity_reader', 'daily_records_merged', 'SELECT'),
            ('activity_reader', 'daily_activities', 'SELECT'),
            ('activity_reader', 'daily_trends', 'SELECT'),
            ('activity_reader', 'daily_wear', 'SELECT'),
            ('activity_reader', 'feature_minutes',
             'SELECT (minute, model_version, windows, activities, confidence_sum, confidences)'),
            ('activity_reader', 'dead_letters',
             'SELECT (topic, kafka_partition, kafka_offset, item, reason, noticed_at, replayed_at)'),
            ('activity_reader', 'queue_items',
             'SELECT (item_id, device_id, window_start, window_end, stratum, reason, activity, model_version, '
             'queued_at, expires_at, closed_at, closed_because)'),
            ('activity_reader', 'annotations',
             'SELECT (annotation_id, item_id, device_id, window_start, answer, label, suggested, adjudicates, origin, '
             'seconds, created_at)'),
            ('activity_reader', 'participant_personas', 'SELECT'),
            ('activity_reader', 'spans',
             'SELECT (span_id, device_id, span_start, span_end, label, origin, answered_at, recorded_at, undoes)'),
            ('activity_reader', 'promotions', 'SELECT (promotion_id, at, name, version, before, act, why, run_id)'),
            ('activity_reader', 'retrain_runs',
             'SELECT (run_id, started_at, finished_at, why, step, state, progress, summary, challenger)')
        ) AS granted (role, name, privileges)
        JOIN pg_roles ON pg_roles.rolname = granted.role
        JOIN pg_class ON pg_class.relname = granted.name
             -- who reads all else cannot sign in the name of a webhook
             OR granted.name = '*' AND pg_class.relname <> 'webhook_secrets'
        WHERE pg_class.relnamespace = 'public'::regnamespace AND pg_class.relkind IN ('r', 'v', 'p')
    LOOP
        EXECUTE format('GRANT %s ON %s TO %I', privilege.privileges, privilege.relation, privilege.role);
    END LOOP;

    FOR privilege IN
        SELECT granted.*
        FROM (VALUES
            ('activity_console', 'take_back_withdrawn'),
            ('activity_scorer', 'make_prediction_days'),
            ('activity_airflow', 'make_prediction_days'),
            ('activity_scorer', 'analyse_new_prediction_days'),
            ('activity_airflow', 'analyse_new_prediction_days'),
            ('activity_airflow', 'take_out_prediction_day'),
            ('activity_airflow', 'take_late_predictions'),
            ('activity_airflow', 'drop_prediction_day')
        ) AS granted (role, name)
        JOIN pg_roles ON pg_roles.rolname = granted.role
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %I TO %I', privilege.name, privilege.role);
    END LOOP;
END
$grants$;
