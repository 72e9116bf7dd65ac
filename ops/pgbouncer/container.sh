#!/bin/bash
# What systemd does on a machine, for a container. /weir is this pooler's tree as rendered.
#   container.sh           configures, and runs PgBouncer
#   container.sh health    exit 0: its event loop answers, which that of a hung one does not
#   container.sh reload    takes changed files of /weir over
set -eu

lib=/usr/local/lib/weir

# run is the container's first process, as user postgres. When the container is told to stop, PgBouncer ends at once and its
# address stays for a moment: new connections are refused, so HAProxy takes them elsewhere, until it has marked the pooler
# DOWN. An address that is gone answers nothing, and who is just connecting to it waits.
run() {
    export TZ=UTC # the console prints times in this zone, and Weir reads them
    /usr/sbin/pgbouncer /etc/pgbouncer/pgbouncer.ini &
    pooler=$!
    told=no
    trap 'told=yes; kill -QUIT $pooler' QUIT
    trap 'kill -HUP $pooler' HUP
    status=0
    # A trap ends wait before the pooler has ended.
    while wait $pooler || status=$?; kill -0 $pooler 2>/dev/null; do :; done
    [ $told = no ] || sleep 2
    exit $status
}

case "${1-start}" in
start)
    $lib/provision.sh configure /weir
    install -d -o postgres -g postgres /run/pgbouncer
    exec setpriv --reuid=postgres --regid=postgres --init-groups $lib/container.sh run
    ;;
run)
    run
    ;;
health)
    port=$(sed -n 's/^listen_port *= *//p' /etc/pgbouncer/pgbouncer.ini)
    exec 3<>"/dev/tcp/127.0.0.1/$port"
    printf '\0\0\0\10\4\322\26\57' >&3 # SSLRequest; N is no, S is yes
    read -r -N 1 -t 2 answer <&3
    [[ $answer == [NS] ]]
    ;;
reload)
    $lib/provision.sh configure /weir
    kill -HUP 1
    ;;
esac
