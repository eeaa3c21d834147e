DROP TABLE model_checks;
ALTER TABLE promotions DROP COLUMN sha256;
