-- An imported answer keeps the time at which it was given, and what its item was. No row changes.

ALTER TABLE annotations ADD COLUMN imported_at timestamptz, ADD COLUMN stratum text;
COMMENT ON COLUMN annotations.created_at IS 'When the answer was given; for an import that has no time, when it came';
COMMENT ON COLUMN annotations.imported_at IS 'When it came by a file';
COMMENT ON COLUMN annotations.stratum IS 'Of its queue item, when it was answered';

CREATE OR REPLACE VIEW annotations_not_undone AS
SELECT a.* FROM annotations a
WHERE a.answer <> 'undo' AND NOT EXISTS (SELECT FROM annotations u WHERE u.undoes = a.annotation_id);

CREATE OR REPLACE VIEW annotations_in_force AS
SELECT DISTINCT ON (a.device_id, a.window_start, a.annotator, a.adjudicates) a.*
FROM annotations_not_undone a
ORDER BY a.device_id, a.window_start, a.annotator, a.adjudicates, a.annotation_id DESC;

-- labelled_at : when this store learnt of the newest label, so that imported labels are new ones to a retraining;
-- answered_at : when the newest label was given. Of several reviewers' decisions the newest decides.
CREATE OR REPLACE VIEW gold_labels AS
WITH counted AS (
    SELECT device_id, window_start, max(window_end) AS window_end, label, count(*) AS votes,
           max(annotation_id) AS newest, max(greatest(created_at, imported_at)) AS labelled_at,
           max(created_at) AS answered_at
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
           annotation_id AS newest, greatest(created_at, imported_at) AS labelled_at, created_at AS answered_at
    FROM annotations_in_force
    WHERE adjudicates AND answer = 'label'
    ORDER BY device_id, window_start, created_at DESC, annotation_id DESC
), windows AS (
    SELECT device_id, window_start FROM ranked UNION SELECT device_id, window_start FROM adjudicated
)
SELECT w.device_id, w.window_start, coalesce(a.window_end, r.window_end) AS window_end,
       coalesce(a.label, CASE WHEN r.as_many = 1 THEN r.label END) AS label,
       coalesce(r.annotators, 0)::integer AS annotators,
       a.label IS NOT NULL AS adjudicated,
       a.label IS NULL AND r.as_many > 1 AS disputed,
       greatest(a.labelled_at, r.labelled_at) AS labelled_at,
       greatest(a.answered_at, r.answered_at) AS answered_at
FROM windows w
LEFT JOIN adjudicated a USING (device_id, window_start)
LEFT JOIN LATERAL (
    SELECT * FROM ranked r
    WHERE r.device_id = w.device_id AND r.window_start = w.window_start AND r.place = 1
    ORDER BY r.newest DESC LIMIT 1
) AS r ON true;
