DROP TABLE model_exports;
