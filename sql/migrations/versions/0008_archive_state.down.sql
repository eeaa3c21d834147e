DROP TABLE archive_state;
