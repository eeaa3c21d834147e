ALTER TABLE ingest_tokens
    ADD COLUMN devices    text[] NOT NULL DEFAULT '{}',
    ADD COLUMN expires_at timestamptz;
COMMENT ON COLUMN ingest_tokens.devices IS
    'The devices it is for; * at the end of one: all that begin so; empty: all devices';
COMMENT ON COLUMN ingest_tokens.expires_at IS 'From then on it is refused; null: never';

ALTER TABLE users ADD COLUMN subject text UNIQUE;
COMMENT ON COLUMN users.subject IS 'Issuer and subject of a user who came by single sign-on; null: by password only';
