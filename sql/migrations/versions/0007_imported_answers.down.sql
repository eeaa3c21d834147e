-- The columns go, with the times and strata of imported answers in them; their views are made again.

DROP VIEW gold_labels;
DROP VIEW annotations_in_force;
DROP VIEW annotations_not_undone;
ALTER TABLE annotations DROP COLUMN imported_at, DROP COLUMN stratum;

-- Row by row, so that the planner can use every index of annotations through it.
CREATE VIEW annotations_not_undone AS
SELECT a.* FROM annotations a
WHERE a.answer <> 'undo' AND NOT EXISTS (SELECT FROM annotations u WHERE u.undoes = a.annotation_id);
COMMENT ON VIEW annotations_not_undone IS 'Every answer that no undo refers to, each annotator''s earlier ones included';

CREATE OR REPLACE VIEW annotations_in_force AS
SELECT DISTINCT ON (a.device_id, a.window_start, a.annotator, a.adjudicates) a.*
FROM annotations_not_undone a
ORDER BY a.device_id, a.window_start, a.annotator, a.adjudicates, a.annotation_id DESC;

-- One row a labelled window. An adjudication decides; otherwise the label with the most votes. Where two labels
-- have equally many votes, the window is disputed and has no label.
CREATE OR REPLACE VIEW gold_labels AS
WITH counted AS (
    SELECT device_id, window_start, max(window_end) AS window_end, label, count(*) AS votes,
           max(annotation_id) AS newest, max(created_at) AS labelled_at
    FROM annotations_in_force
    WHERE answer = 'label' AND NOT adjudicates
    GROUP BY device_id, window_start, label
), ranked AS (
    SELECT counted.*, rank() OVER most AS place,
           sum(votes) OVER (PARTITION BY device_id, window_start) AS annotators,
           count(*) OVER (PARTITION BY device_id, window_start, votes) AS as_many
    FROM counted WINDOW most AS (PARTITION BY device_id, window_start ORDER BY votes DESC)
), adjudicated AS (
    SELECT DISTINCT ON (device_id, window_start) device_id, window_start, window_end, label,
           annotation_id AS newest, created_at AS labelled_at
    FROM annotations_in_force
    WHERE adjudicates AND answer = 'label'
    ORDER BY device_id, window_start, annotation_id DESC
), windows AS (
    SELECT device_id, window_start FROM ranked UNION SELECT device_id, window_start FROM adjudicated
)
SELECT w.device_id, w.window_start, coalesce(a.window_end, r.window_end) AS window_end,
       coalesce(a.label, CASE WHEN r.as_many = 1 THEN r.label END) AS label,
       coalesce(r.annotators, 0)::integer AS annotators,
       a.label IS NOT NULL AS adjudicated,
       a.label IS NULL AND r.as_many > 1 AS disputed,
       greatest(a.labelled_at, r.labelled_at) AS labelled_at
FROM windows w
LEFT JOIN adjudicated a USING (device_id, window_start)
LEFT JOIN LATERAL (
    SELECT * FROM ranked r
    WHERE r.device_id = w.device_id AND r.window_start = w.window_start AND r.place = 1
    ORDER BY r.newest DESC LIMIT 1
) AS r ON true;
COMMENT ON VIEW annotations_in_force IS 'Each annotator''s last answer about a window that was not undone';
COMMENT ON VIEW gold_labels IS 'The label of each annotated window: adjudicated, by majority, or none while disputed';
