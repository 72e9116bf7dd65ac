#!/bin/sh
# What systemd does on a machine, for a container. /weir is the database host's tree as rendered.
#   container.sh           configures, and becomes PostgreSQL
#   container.sh health    exit 0: it answers, and the roles are there
#   container.sh reload    takes changed files of /weir over
set -eu

lib=/usr/local/lib/weir
data=/var/lib/postgresql/17/weir

as_postgres() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }

case "${1-start}" in
start)
    $lib/provision.sh configure /weir
    /etc/weir/postgres-prepare.sh
    # ExecStartPost=-: roles, passwords and the poolers' look-up. Twice forked, so that init is the parent and not the
    # server, which takes the end of a child it does not know for a crash.
    (
        (
            until [ -e $data/postmaster.pid ]; do sleep 0.1; done
            /etc/weir/postgres-after.sh || echo "bootstrap failed: the server serves the roles it has" >&2
        ) &
    )
    export PG_OOM_ADJUST_FILE=/proc/self/oom_score_adj PG_OOM_ADJUST_VALUE=0
    exec setpriv --reuid=postgres --regid=postgres --init-groups \
        /usr/lib/postgresql/17/bin/postgres -D $data -c config_file=/etc/weir/postgresql.conf
    ;;
health)
    as_postgres psql --no-psqlrc --quiet --output=/dev/null --host=/run/postgresql --dbname=weir --command='SELECT 1'
    ;;
reload)
    $lib/provision.sh configure /weir
    as_postgres sh -c 'kill -HUP "$(head -n 1 "$1/postmaster.pid")"' - $data
    /etc/weir/postgres-after.sh
    ;;
esac
