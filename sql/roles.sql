-- Roles, databases and passwords of an installation with separate services: psql -f sql/roles.sql, as superuser, or as
-- the administrator of a managed PostgreSQL (RDS, Cloud SQL), who may create roles and databases and no more.
-- Run it again when a password changes; nothing else changes then. Passwords are read from the environment
-- (STORE_OWNER_PASSWORD, STORE_SCORER_PASSWORD, ...), so that no list of processes shows them.
-- The privileges on tables are in grants.sql, which `activity db upgrade` applies.
\set ON_ERROR_STOP on
\set QUIET on
SET client_min_messages = warning;
-- the statements below contain passwords, which must not be logged when one fails; only a superuser may say so
SELECT format('SET %I = %L', name, value)
FROM (VALUES ('log_min_error_statement', 'panic'), ('log_statement', 'none')) AS quiet (name, value)
WHERE (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) \gexec

\getenv owner STORE_OWNER_PASSWORD
\getenv generator STORE_GENERATOR_PASSWORD
\getenv scorer STORE_SCORER_PASSWORD
\getenv console STORE_CONSOLE_PASSWORD
\getenv airflow STORE_AIRFLOW_PASSWORD
\getenv registry STORE_REGISTRY_PASSWORD
\getenv reader STORE_READER_PASSWORD
\getenv sender STORE_SENDER_PASSWORD

SELECT format('CREATE ROLE %I', name)
FROM unnest(ARRAY['activity', 'activity_generator', 'activity_scorer', 'activity_console', 'activity_airflow',
                  'activity_registry', 'activity_reader', 'activity_sender']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

ALTER ROLE activity LOGIN PASSWORD :'owner';
ALTER ROLE activity_generator LOGIN PASSWORD :'generator' CONNECTION LIMIT 10;
ALTER ROLE activity_scorer LOGIN PASSWORD :'scorer';
ALTER ROLE activity_console LOGIN PASSWORD :'console' CONNECTION LIMIT 60;
ALTER ROLE activity_airflow LOGIN PASSWORD :'airflow' CONNECTION LIMIT 80;
ALTER ROLE activity_registry LOGIN PASSWORD :'registry' CONNECTION LIMIT 40;
ALTER ROLE activity_reader LOGIN PASSWORD :'reader' CONNECTION LIMIT 20;
ALTER ROLE activity_sender LOGIN PASSWORD :'sender' CONNECTION LIMIT 20;
-- a slow dashboard query must not hold up the stream
ALTER ROLE activity_reader SET default_transaction_read_only = on;
ALTER ROLE activity_reader SET statement_timeout = '30s';

-- where the administrator is no superuser (a managed PostgreSQL), only a member may hand a database to a role
SELECT format('GRANT %I TO CURRENT_USER', rolname)
FROM pg_roles
WHERE rolname IN ('activity', 'activity_airflow', 'activity_registry')
  AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) \gexec

SELECT format('CREATE DATABASE %I OWNER %I', name, owner)
FROM (VALUES ('activity', 'activity'), ('airflow', 'activity_airflow'), ('mlflow', 'activity_registry'))
     AS made (name, owner)
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = made.name) \gexec

REVOKE ALL ON DATABASE activity, airflow, mlflow FROM PUBLIC;
GRANT CONNECT ON DATABASE activity
    TO activity_generator, activity_scorer, activity_console, activity_airflow, activity_reader, activity_sender;
-- predictions are copied into a temporary table first
GRANT TEMPORARY ON DATABASE activity TO activity_scorer;
