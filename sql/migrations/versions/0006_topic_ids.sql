-- An offset names a message only together with Kafka's id of the topic, which a topic created again does not share.
-- Rows from before have none: the scorer gives the newest query's batches the topic's id where their offsets fit.

ALTER TABLE batches ADD COLUMN topic_id text, ADD COLUMN written_at timestamptz;
COMMENT ON COLUMN batches.topic_id IS 'Kafka''s id of the topic; null: not known';
COMMENT ON COLUMN batches.written_at IS 'When all rows of the batch were committed, before their smoothing';

ALTER TABLE dead_letters ADD COLUMN topic_id text NOT NULL DEFAULT '';
ALTER TABLE dead_letters DROP CONSTRAINT dead_letters_pkey;
ALTER TABLE dead_letters ADD PRIMARY KEY (topic, kafka_partition, kafka_offset, item, topic_id);
COMMENT ON COLUMN dead_letters.topic_id IS 'Kafka''s id of the topic; empty: not known';
