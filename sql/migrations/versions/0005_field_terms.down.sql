-- The names of revision 0004 again; comments on other tables stay as they are.

CREATE OR REPLACE VIEW annotations_in_force AS
SELECT DISTINCT ON (a.device_id, a.window_start, a.annotator, a.adjudicates) a.*
FROM annotations a
WHERE a.answer <> 'undo' AND NOT EXISTS (SELECT FROM annotations u WHERE u.undoes = a.annotation_id)
ORDER BY a.device_id, a.window_start, a.annotator, a.adjudicates, a.annotation_id DESC;

CREATE OR REPLACE VIEW gold_labels AS
WITH votes AS (
    SELECT device_id, window_start, max(window_end) AS window_end, label, count(*) AS voices,
           max(annotation_id) AS newest, max(created_at) AS labelled_at
    FROM annotations_in_force
    WHERE answer = 'label' AND NOT adjudicates
    GROUP BY device_id, window_start, label
), counted AS (
    SELECT votes.*, rank() OVER most AS place,
           sum(voices) OVER (PARTITION BY device_id, window_start) AS annotators,
           count(*) OVER (PARTITION BY device_id, window_start, voices) AS as_many
    FROM votes WINDOW most AS (PARTITION BY device_id, window_start ORDER BY voices DESC)
), settled AS (
    SELECT DISTINCT ON (device_id, window_start) device_id, window_start, window_end, label,
           annotation_id AS newest, created_at AS labelled_at
    FROM annotations_in_force
    WHERE adjudicates AND answer = 'label'
    ORDER BY device_id, window_start, annotation_id DESC
), windows AS (
    SELECT device_id, window_start FROM counted UNION SELECT device_id, window_start FROM settled
)
SELECT w.device_id, w.window_start, coalesce(s.window_end, c.window_end) AS window_end,
       coalesce(s.label, CASE WHEN c.as_many = 1 THEN c.label END) AS label,
       coalesce(c.annotators, 0)::integer AS annotators,
       s.label IS NOT NULL AS adjudicated,
       s.label IS NULL AND c.as_many > 1 AS disputed,
       greatest(s.labelled_at, c.labelled_at) AS labelled_at
FROM windows w
LEFT JOIN settled s USING (device_id, window_start)
LEFT JOIN LATERAL (
    SELECT * FROM counted c
    WHERE c.device_id = w.device_id AND c.window_start = w.window_start AND c.place = 1
    ORDER BY c.newest DESC LIMIT 1
) AS c ON true;

DROP VIEW annotations_not_undone;

ALTER TABLE queue_items RENAME CONSTRAINT queue_items_required_labels_check TO queue_items_wanted_check;
ALTER TABLE queue_items RENAME COLUMN required_labels TO wanted;
COMMENT ON COLUMN queue_items.wanted IS 'How many annotators are to see it; more than one: blind overlap';
ALTER TABLE retrain_runs RENAME COLUMN summary TO says;
COMMENT ON COLUMN retrain_runs.says IS NULL;
