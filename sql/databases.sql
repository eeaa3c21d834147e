-- One user and the databases on a managed PostgreSQL (RDS, Cloud SQL); roles.sql creates a role for each service
-- instead. Run as the administrator, who need not be a superuser. It may be run again, which sets the password anew.
-- The password is read from the environment:
--   STORE_PASSWORD=... activity db psql -- -v ON_ERROR_STOP=1 -f sql/databases.sql
\getenv password STORE_PASSWORD

SELECT 'CREATE ROLE activity' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'activity')
\gexec
ALTER ROLE activity LOGIN PASSWORD :'password';
-- only a member of a role may create a database for it
GRANT activity TO CURRENT_USER;

SELECT format('CREATE DATABASE %I OWNER activity', name)
FROM unnest(ARRAY['activity', 'mlflow', 'airflow']) AS name
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name)
\gexec
