DROP TABLE participant_personas;
