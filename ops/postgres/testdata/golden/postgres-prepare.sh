#!/bin/sh
# Makes the database cluster before the first start. Later it only sees to it that the data is the server's own: after a
# new installation of the package, user postgres may have another number. Runs as root.
set -eu

data=/var/lib/postgresql/17/weir
new=$data.new

as_postgres() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }

install -d -m 2775 -o postgres -g postgres /run/postgresql
if [ -s "$data/PG_VERSION" ]; then
    [ "$(stat -c %U "$data")" = postgres ] || chown -R postgres:postgres "$data"
    exit 0
fi

if [ -d "$data" ] && [ -n "$(ls -A "$data")" ]; then
    echo "make database: $data holds files but no database: move them away" >&2
    exit 1
fi

# Aside, then renamed: what a crash leaves half made is thrown away here, and never started.
rm -rf "$new"
install -d -m 0755 -o postgres -g postgres "$(dirname "$data")"
install -d -m 0700 -o postgres -g postgres "$new"
# C.UTF-8 sorts alike on every machine and with every libc. The file holds a SCRAM verifier.
as_postgres /usr/lib/postgresql/17/bin/initdb --pgdata="$new" --username=postgres --pwfile=/etc/weir/postgres.scram \
    --auth-local=peer --auth-host=scram-sha-256 --data-checksums \
    --encoding=UTF8 --locale-provider=libc --locale=C.UTF-8 >&2
mv -T "$new" "$data"
sync "$(dirname "$data")"
