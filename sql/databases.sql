-- The user and the databases of a store that is not ours to make (RDS, Cloud SQL). Run as its administrator, who
-- need not be a superuser (roles.sql makes a role for each service instead); again does no harm, and sets the password anew. The password comes by the environment:
--   STORE_PASSWORD=... activity db psql -- -v ON_ERROR_STOP=1 -f sql/databases.sql
\getenv password STORE_PASSWORD

SELECT 'CREATE ROLE activity' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'activity')
\gexec
ALTER ROLE activity LOGIN PASSWORD :'password';
-- who makes a database for somebody must be able to become them
GRANT activity TO CURRENT_USER;

SELECT format('CREATE DATABASE %I OWNER activity', name)
FROM unnest(ARRAY['activity', 'mlflow', 'airflow']) AS name
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name)
\gexec
