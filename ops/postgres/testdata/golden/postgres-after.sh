#!/bin/sh
# Roles, passwords and the poolers' look-up, after every start. Runs as root.
set -eu
exec setpriv --reuid=postgres --regid=postgres --init-groups env -i PATH=/usr/bin:/bin LC_ALL=C.UTF-8 \
    /usr/lib/postgresql/17/bin/psql --no-psqlrc --quiet --tuples-only --output=/dev/null --set=ON_ERROR_STOP=1 \
    --host=/run/postgresql --port=5432 --username=postgres --dbname=postgres \
    --file=/etc/weir/bootstrap.sql
