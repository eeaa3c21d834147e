ALTER TABLE feature_minutes ADD COLUMN watches integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN feature_minutes.watches IS
    'Of windows scored by REST: how many watches the console that scored them had lately; 0: the predictions tell';
