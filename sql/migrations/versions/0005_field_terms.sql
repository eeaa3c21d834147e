-- Renames only: no row changes, and column privileges and indexes follow the column.

ALTER TABLE retrain_runs RENAME COLUMN says TO summary;
COMMENT ON COLUMN retrain_runs.summary IS 'One sentence: the current progress, or the result';

ALTER TABLE queue_items RENAME COLUMN wanted TO required_labels;
ALTER TABLE queue_items RENAME CONSTRAINT queue_items_wanted_check TO queue_items_required_labels_check;
COMMENT ON COLUMN queue_items.required_labels IS
    'Annotators required; more than one: blind overlap, for inter-annotator agreement';

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

COMMENT ON TABLE leases IS 'Which annotator holds which queue item, and until when; an expired lease has no effect';
COMMENT ON TABLE queue_items IS 'Windows selected for annotation, with all that labelling and training need';
COMMENT ON COLUMN queue_items.stratum IS
    'audit: a random sample, evaluates models; cold: diverse, while labels are few; doubt: selected by uncertainty';
COMMENT ON COLUMN queue_items.reason IS 'The uncertainty measure that selected it (learning/doubt)';
COMMENT ON COLUMN queue_items.propensity IS 'Probability that a window like this one is selected; exact for the audit';
COMMENT ON COLUMN queue_items.decision IS 'The inputs of the selection policy, for `activity queue explain`';
COMMENT ON TABLE annotations IS 'Answers of annotators, in the order they were given; append-only';
COMMENT ON COLUMN annotations.seconds IS 'From the display of the item to the answer';
COMMENT ON COLUMN annotations.suggested IS 'Activity predicted by the model, whether or not it was shown';
COMMENT ON COLUMN annotations.adjudicates IS 'A reviewer''s decision; it overrides the annotators'' labels';
COMMENT ON VIEW gold_labels IS 'The label of each annotated window: adjudicated, by majority, or none while disputed';
COMMENT ON TABLE snapshots IS 'Training sets; snapshot_id: SHA-256 of the content';
COMMENT ON TABLE retrain_runs IS 'Retrainings: who started each and why, its progress, its result';
COMMENT ON TABLE promotions IS 'Which version was promoted or rejected, by whom and why, with every figure';
COMMENT ON TABLE feature_minutes IS 'Moments and histograms of every feature by minute and model version, for drift monitoring';
COMMENT ON COLUMN feature_minutes.counts IS 'Windows in which the feature is present, one count a feature';
COMMENT ON TABLE drift_alarms IS 'Drift measures over their threshold, and since when; over_at: when the alarm ended';
COMMENT ON COLUMN queue_budget.salt IS 'Seed of this installation''s random draws; another one draws another audit sample';
COMMENT ON TABLE predictions IS 'One row a watch and window; replaced only by one computed from more readings';
COMMENT ON COLUMN predictions.conformal_set IS 'Labels of the conformal prediction set';
COMMENT ON TABLE people IS 'Wearers of the watches, as far as known; input of the energy model';
COMMENT ON TABLE model_versions IS 'The labels of each version''s probabilities, in their order';
COMMENT ON TABLE batches IS 'The store''s own record of each micro-batch of the stream';
COMMENT ON VIEW predictions_readable IS 'Predictions with probabilities by label, rounded';
