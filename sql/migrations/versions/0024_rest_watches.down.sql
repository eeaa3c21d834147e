ALTER TABLE feature_minutes DROP COLUMN watches;
