#!/bin/sh
# Installs PostgreSQL 17 on Debian 13 and puts what `weir render` wrote in its place. Run as root;
# safe to run again.
#
#   provision.sh install           the packages, without a database; nothing is started
#   provision.sh configure DIR     check DIR, swap it in, reload; DIR is the database host's, as rendered
set -eu

bin=/usr/lib/postgresql/17/bin

fail() { echo "provision postgres: $*" >&2; exit 1; }

as_postgres() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }

install_packages() {
    # Debian makes and starts a database of its own with the package: not here.
    mkdir -p /etc/postgresql-common/createcluster.d
    echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/weir.conf
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
        chmod 755 /usr/sbin/policy-rc.d
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update --quiet=2
    apt-get install --quiet=2 --yes --no-install-recommends postgresql-17 postgresql-client-17
}

# check has PostgreSQL read the new settings. pg_hba.conf it reads only while it runs: see reload.
check() {
    try=$(mktemp -d)
    trap 'rm -rf "$try"' EXIT
    cp "$1/etc/weir/postgresql.conf" "$try"
    chown -R postgres:postgres "$try"
    # It looks for pg_ident.conf in a data directory, which need not exist yet.
    as_postgres "$bin/postgres" -C port -c "config_file=$try/postgresql.conf" -c ident_file=/dev/null >/dev/null ||
        fail "PostgreSQL refuses $1/etc/weir/postgresql.conf: nothing was changed"
}

# put FROM TO OWNER: written aside and renamed, so that nobody reads half a file.
put() {
    mkdir -p "$(dirname "$2")"
    install -o "$3" -g "$3" -m "$(stat --format=%a "$1")" "$1" "$2.weir-new"
    mv -f "$2.weir-new" "$2"
}

query() { as_postgres psql --no-psqlrc --quiet --tuples-only --no-align --host=/run/postgresql --dbname=postgres --command="$1"; }

# reload has the server take the files, and says what it could not take; there it keeps the old.
reload() {
    systemctl reload weir-postgres
    /etc/weir/postgres-after.sh
    mistakes=$(query "SELECT format('%s:%s: %s', sourcefile, sourceline, error) FROM pg_file_settings WHERE error IS NOT NULL
        UNION ALL SELECT format('%s:%s: %s', file_name, line_number, error) FROM pg_hba_file_rules WHERE error IS NOT NULL")
    [ -z "$mistakes" ] || fail "the server did not take everything (settings that need a restart are among them):
$mistakes"
}

configure() {
    [ -s "$1/etc/weir/postgresql.conf" ] || fail "$1 is no database host's directory as weir render writes it"
    check "$1"
    for file in postgres.scram postgresql.conf pg_hba.conf bootstrap.sql; do
        put "$1/etc/weir/$file" "/etc/weir/$file" postgres
    done
    for file in etc/weir/postgres-prepare.sh etc/weir/postgres-after.sh etc/systemd/system/weir-postgres.service; do
        put "$1/$file" "/$file" root
    done
    # In an image or the lab something else starts it.
    [ -d /run/systemd/system ] || return 0
    systemctl daemon-reload
    systemctl enable --quiet weir-postgres
    if systemctl is-active --quiet weir-postgres; then reload; else systemctl start weir-postgres; fi
}

case "${1-}" in
install) install_packages ;;
configure) configure "${2:?configure needs the directory of the database host}" ;;
*) fail "say install, or configure DIR" ;;
esac
