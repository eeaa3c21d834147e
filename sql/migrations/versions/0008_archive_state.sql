-- What the scorer last said of the archive, for figures and alarms. Nothing is resumed from it: the archive's own record
-- is with its files.
CREATE TABLE archive_state (
    topic         text PRIMARY KEY,
    topic_id      text,
    offsets       jsonb NOT NULL DEFAULT '{}',
    gaps          jsonb NOT NULL DEFAULT '[]',
    archived_at   timestamptz,
    failing_since timestamptz,
    error         text
);
COMMENT ON TABLE archive_state IS 'How the archive of each topic is doing';
COMMENT ON COLUMN archive_state.offsets IS '{partition: first offset that is not archived}';
COMMENT ON COLUMN archive_state.gaps IS '[[partition, from, until], ...]: deleted by Kafka before they were archived';
COMMENT ON COLUMN archive_state.archived_at IS 'When everything was last archived as it should be';
