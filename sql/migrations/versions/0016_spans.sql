-- Labels of a span of time, append-only as annotations are. Of overlapping spans the one answered later has a moment;
-- of those answered at the same time, the one recorded later.
CREATE TABLE spans (
    span_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id   text        NOT NULL,
    span_start  timestamptz NOT NULL,
    span_end    timestamptz NOT NULL,
    label       text,
    annotator   text        NOT NULL,
    note        text,
    origin      text        NOT NULL CHECK (origin IN ('console', 'import')),
    answered_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    recorded_by text        NOT NULL,
    undoes      bigint REFERENCES spans,
    CHECK ((label IS NULL) = (undoes IS NOT NULL)),
    CHECK (span_end > span_start)
);
CREATE UNIQUE INDEX spans_undone_once ON spans (undoes) WHERE undoes IS NOT NULL;
CREATE INDEX spans_device ON spans (device_id, span_start);
CREATE INDEX spans_recorded ON spans (recorded_by, recorded_at DESC);
COMMENT ON TABLE spans IS 'Activities of spans of time as people remember them, in the order they came; append-only';
COMMENT ON COLUMN spans.answered_at IS 'When the answer was given; for an import that has no time, when it came';
COMMENT ON COLUMN spans.recorded_at IS 'When this store learnt of it; the same for all rows of one import';
COMMENT ON COLUMN spans.recorded_by IS 'Who recorded it: a user of the console, or of the machine for an import there';
COMMENT ON COLUMN spans.undoes IS 'The row that this one undoes; such a row has no label';

CREATE FUNCTION refuse_row_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ': rows are only ever added; undo one by a row that undoes it';
END
$$;
CREATE TRIGGER spans_append_only BEFORE UPDATE OR DELETE ON spans
    FOR EACH ROW EXECUTE FUNCTION refuse_row_change();

CREATE VIEW spans_in_force AS
SELECT s.* FROM spans s
WHERE s.undoes IS NULL AND NOT EXISTS (SELECT FROM spans u WHERE u.undoes = s.span_id);
COMMENT ON VIEW spans_in_force IS 'Every span that was not undone; where they overlap, the later answer has the moment';
