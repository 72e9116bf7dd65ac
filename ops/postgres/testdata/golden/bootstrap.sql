-- Rendered by Weir: roles, passwords and the poolers' look-up. Runs after every start of PostgreSQL,
-- as postgres over the local socket, and changes nothing the second time. Passwords are SCRAM
-- verifiers, always the same ones: with a new salt the poolers' logins would fail until every
-- client had logged in again.
\set ON_ERROR_STOP on
SET client_min_messages = warning;

BEGIN;
-- Two at once would collide on the roles.
SELECT pg_advisory_xact_lock(hashtext('weir bootstrap'));

DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['weir', 'weir_auth', 'weir_monitor', 'weir_lookup'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I', role);
        END IF;
    END LOOP;
END
$$;

ALTER ROLE postgres PASSWORD 'SCRAM-SHA-256$4096:DUzIWYeQjFI5FntXne68Ow==$+/0xPR24x7MB+iYvXQTnFXqZqYdqTwDJFCCv+a9HsJw=:f52B6yauQrY2xIG/N3l5ivqYiPd4h1W9tAjDHbg+wu8=';
-- Owner of Weir's own tables, in the database weir.
ALTER ROLE weir WITH LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD 'SCRAM-SHA-256$4096:FIMUIfzVxoWBar6qxVjXXg==$FEJVbRRwlhLJGOiMLkswLgagSA9od6GlhzMCqij7A4k=:640jog3Mglg+3myYLRZzpSFasgbZm8od2BYfpGZSato=';
-- Reads statistics.
ALTER ROLE weir_monitor WITH LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD 'SCRAM-SHA-256$4096:YH60mTYXRDE+0/k1x00o/g==$5XW4y7jR9S7WPc7hYc0mxWVIiY6UhhXNek5vRFbianA=:ID1AqRo8MF/7ezrAu7Grxj6vGrBCcIQ457P0sDkPwvE=';
-- The poolers' own login: may call the look-up below.
ALTER ROLE weir_auth WITH LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD 'SCRAM-SHA-256$4096:cxFPjhJnfVWjIG1AWycpdA==$rGHGLt9Nk8FH9VlJENJb03C6CW13tB6KjO97pUpvvk4=:bTYp4S+Ccs3yv5kKoSNbBrF6mtMcru78/htRSPHjizg=';
-- Owns the look-up, logs in nowhere.
ALTER ROLE weir_lookup WITH NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD NULL;

GRANT pg_monitor TO weir_monitor;
-- An operator cancels queries and ends sessions of anybody but superusers (ops/runbook).
GRANT pg_signal_backend TO weir;
-- They get in when applications have taken all other connections (reserved_connections).
GRANT pg_use_reserved_connections TO weir, weir_auth, weir_monitor;

CREATE SCHEMA IF NOT EXISTS weir;
REVOKE ALL ON SCHEMA weir FROM PUBLIC;
GRANT USAGE ON SCHEMA weir TO weir_auth;
GRANT SELECT (rolname, rolpassword, rolcanlogin, rolsuper, rolvaliduntil) ON pg_catalog.pg_authid TO weir_lookup;

-- Tells the poolers the verifier of one role, or nothing, and then the role cannot log in there.
CREATE OR REPLACE FUNCTION weir.pooler_lookup(rolename text)
    RETURNS TABLE (username text, password text)
    LANGUAGE sql STABLE SECURITY DEFINER
    -- Pinned: a caller's search_path must not decide what a definer's function means.
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a.rolname::text, a.rolpassword
      FROM pg_catalog.pg_authid a
     WHERE a.rolname = rolename
       AND a.rolcanlogin
       AND a.rolpassword IS NOT NULL
       AND (a.rolvaliduntil IS NULL OR a.rolvaliduntil > pg_catalog.now())
       AND a.rolname NOT IN ('weir_auth', 'weir_monitor')
$$;
ALTER FUNCTION weir.pooler_lookup(text) OWNER TO weir_lookup;
REVOKE ALL ON FUNCTION weir.pooler_lookup(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION weir.pooler_lookup(text) TO weir_auth;

CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
COMMIT;

-- CREATE DATABASE runs in no transaction.
SELECT 'CREATE DATABASE weir OWNER weir'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'weir') \gexec
REVOKE ALL ON DATABASE weir FROM PUBLIC;
