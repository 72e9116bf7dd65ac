#!/bin/sh
# Roles, passwords and the poolers' look-up, after every start. Runs as root.
set -eu

bootstrap() {
    setpriv --reuid=postgres --regid=postgres --init-groups env -i PATH=/usr/bin:/bin LC_ALL=C.UTF-8 \
        /usr/lib/postgresql/17/bin/psql --no-psqlrc --quiet --tuples-only --output=/dev/null --set=ON_ERROR_STOP=1 \
        --host=/run/postgresql --port=5432 --username=postgres --dbname=postgres \
        --file=/etc/weir/bootstrap.sql
}

# 2 is no connection: after a crash the server accepts nobody until it has recovered, which may take minutes. To give up
# on it would end it, and begin the recovery anew.
while status=0; bootstrap || status=$?; [ "$status" = 2 ] && [ -e /var/lib/postgresql/17/weir/postmaster.pid ]; do
    sleep 0.1
done
exit "$status"
