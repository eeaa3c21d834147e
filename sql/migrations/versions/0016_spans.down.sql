DROP VIEW spans_in_force;
DROP TABLE spans;
DROP FUNCTION refuse_row_change();
