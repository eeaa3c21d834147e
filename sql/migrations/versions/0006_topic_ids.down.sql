-- Of dead letters at one place the newest stays.

ALTER TABLE batches DROP COLUMN topic_id, DROP COLUMN written_at;

DELETE FROM dead_letters AS old USING dead_letters AS new
WHERE (old.topic, old.kafka_partition, old.kafka_offset, old.item)
    = (new.topic, new.kafka_partition, new.kafka_offset, new.item)
  AND (old.noticed_at, old.topic_id) < (new.noticed_at, new.topic_id);
ALTER TABLE dead_letters DROP CONSTRAINT dead_letters_pkey;
ALTER TABLE dead_letters DROP COLUMN topic_id;
ALTER TABLE dead_letters ADD PRIMARY KEY (topic, kafka_partition, kafka_offset, item);
