#!/bin/sh
# Installs PgBouncer on Debian 13 and puts what `weir render` wrote in its place. Run as root; safe
# to run again.
#
#   provision.sh install           the package; nothing is started
#   provision.sh configure DIR     check DIR, swap it in, reload; DIR is one pooler's, as rendered
set -eu

fail() { echo "provision pgbouncer: $*" >&2; exit 1; }

install_package() {
    # Debian starts what it installs, here with a configuration that is not ours.
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
        chmod 755 /usr/sbin/policy-rc.d
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update --quiet=2
    apt-get install --quiet=2 --yes --no-install-recommends pgbouncer
}

# check starts a PgBouncer with the new files that listens on a socket of its own only: there is no
# other way to have it read them.
check() {
    try=$(mktemp -d)
    trap 'rm -rf "$try"' EXIT
    cp "$1"/etc/pgbouncer/* "$try"
    sed -e "s|/etc/pgbouncer/|$try/|; s|^listen_addr .*|listen_addr =|; s|^unix_socket_dir .*|unix_socket_dir = $try|" \
        "$1/etc/pgbouncer/pgbouncer.ini" >"$try/pgbouncer.ini"
    chown -R postgres:postgres "$try"
    setpriv --reuid=postgres --regid=postgres --init-groups \
        /usr/sbin/pgbouncer "$try/pgbouncer.ini" >"$try/log" 2>&1 &
    pid=$!
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        if grep -q 'process up' "$try/log" || ! kill -0 "$pid" 2>/dev/null; then break; fi
        sleep 0.2
    done
    kill -QUIT "$pid" 2>/dev/null || true
    wait "$pid" || true
    # Mistakes in pg_hba.conf and userlist.txt it only warns of.
    if ! grep -q 'process up' "$try/log" || grep -E ' (WARNING|ERROR|FATAL) ' "$try/log" >/dev/null; then
        cat "$try/log" >&2
        fail "PgBouncer refuses the files in $1: nothing was changed"
    fi
}

# put FROM TO OWNER: written aside and renamed, so that nobody reads half a file.
put() {
    mkdir -p "$(dirname "$2")"
    install -o "$3" -g "$3" -m "$(stat --format=%a "$1")" "$1" "$2.weir-new"
    mv -f "$2.weir-new" "$2"
}

configure() {
    [ -s "$1/etc/pgbouncer/pgbouncer.ini" ] || fail "$1 is no pooler's directory as weir render writes it"
    check "$1"
    for file in pgbouncer.ini pg_hba.conf userlist.txt; do
        put "$1/etc/pgbouncer/$file" "/etc/pgbouncer/$file" postgres
    done
    for file in etc/sysctl.d/60-weir.conf etc/systemd/system/pgbouncer.service.d/weir.conf; do
        put "$1/$file" "/$file" root
    done
    # In an image or the lab something else starts it.
    [ -d /run/systemd/system ] || return 0
    sysctl --quiet --load=/etc/sysctl.d/60-weir.conf
    systemctl daemon-reload
    systemctl enable --quiet pgbouncer
    # The listening ports and the like change with a restart only: SHOW CONFIG, column changeable.
    systemctl reload-or-restart pgbouncer
}

case "${1-}" in
install) install_package ;;
configure) configure "${2:?configure needs the directory of one pooler}" ;;
*) fail "say install, or configure DIR" ;;
esac
