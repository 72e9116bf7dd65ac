#!/bin/bash
# What systemd does on a machine, for a container. /weir is this node's tree as rendered.
#   container.sh           configures, and becomes the supervisor of HAProxy's processes and keepalived
#   container.sh health    exit 0: HAProxy answers, and keepalived runs
#   container.sh reload    takes changed files of /weir over; no connection is dropped
set -eu

lib=/usr/local/lib/weir
services=/run/service

configure() {
    $lib/haproxy/provision.sh configure /weir
    $lib/keepalived/provision.sh configure /weir
}

# service NAME COMMAND [PROGRAM]: s6 runs the command, and again when it ends, the program in between. SIGTERM stops it.
service() {
    mkdir -p "$services/$1"
    printf '#!/bin/sh\nexec 2>&1\n%s\n' "$2" >"$services/$1/run"
    chmod 755 "$services/$1/run"
    [ -z "${3-}" ] || ln -sf "$3" "$services/$1/finish"
}

case "${1-start}" in
start)
    cp $lib/keepalived/keepalived.config-opts /etc/keepalived/ # the package's, which keepalived wants to read
    configure
    install -d -m 0755 /run/haproxy
    for f in /etc/haproxy/*.cfg; do
        name=${f##*/}
        service "${name%.cfg}" "exec /usr/sbin/haproxy -W -f $f"
    done
    # Pid files that a SIGKILL left name whoever has the number now: keepalived would not start.
    service keepalived "rm -f /run/keepalived.pid /run/keepalived-vrrp.pid /run/keepalived-checkers.pid
exec /usr/sbin/keepalived --dont-fork --log-console --log-detail --vrrp --use-file /etc/keepalived/keepalived.conf --pid /run/keepalived.pid --vrrp_pid /run/keepalived-vrrp.pid --checkers_pid /run/keepalived-checkers.pid" /etc/keepalived/weir-ended
    exec s6-svscan $services
    ;;
health)
    port=$(sed -n '/^frontend stats/,$s/^ *bind *://p' /etc/haproxy/haproxy.cfg | head -n 1)
    # Not /ready: its caller counts as keepalived's heartbeat.
    exec 3<>"/dev/tcp/127.0.0.1/$port"
    printf 'GET /node HTTP/1.0\r\n\r\n' >&3
    read -r -t 2 _ code _ <&3
    [ "$code" = 200 ] && [ "$(s6-svstat -o up $services/keepalived)" = true ]
    ;;
reload)
    configure
    for f in /etc/haproxy/*.cfg; do
        name=${f##*/}
        s6-svc -2 "$services/${name%.cfg}"
    done
    s6-svc -h $services/keepalived
    ;;
esac
