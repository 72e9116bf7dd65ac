#!/bin/sh
# Installs and configures HAProxy on Debian 13. Safe to run again.
#   provision.sh install         the package
#   provision.sh configure DIR   puts the files of DIR, this host's tree from `weir render`, in place: checks them first,
#                                reloads only what changed. A reload forgets drain, maint and hold.
set -eu

systemd() { [ -d /run/systemd/system ]; }

install_package() {
	if ! dpkg-query -W -f '${Status}' haproxy 2>/dev/null | grep -q 'ok installed'; then
		export DEBIAN_FRONTEND=noninteractive
		apt-get install -y --no-install-recommends haproxy ||
			{ apt-get update && apt-get install -y --no-install-recommends haproxy; } # without package lists, in an image
	fi
}

# put FILE of the tree at its place; true when it changed. It is asked in conditions, where set -e does not hold.
put() {
	if cmp -s "$tree$1" "$1"; then return 1; fi
	install -D -o root -g root -m "$(stat -c %a "$tree$1")" "$tree$1" "$1.new" || exit 1
	mv "$1.new" "$1" || exit 1
}

# unit NAME CHANGED: runs it, and reloads it if its file changed.
unit() {
	systemctl enable --quiet "$1"
	if ! systemctl is-active --quiet "$1"; then
		systemctl start "$1"
	elif [ "$2" = yes ]; then
		systemctl reload "$1"
	fi
}

configure() {
	tree=$1
	[ -f "$tree/etc/haproxy/haproxy.cfg" ] || { echo "configure haproxy: $tree has no etc/haproxy/haproxy.cfg" >&2; exit 1; }
	for f in "$tree"/etc/haproxy/*.cfg; do
		said=$(/usr/sbin/haproxy -c -f "$f" 2>&1) || { echo "$said
configure haproxy: $f is refused, nothing was changed" >&2; exit 1; }
	done

	if put /etc/sysctl.d/60-weir.conf && systemd; then sysctl -q -p /etc/sysctl.d/60-weir.conf; fi
	units=no
	for f in /etc/systemd/system/haproxy.service.d/weir.conf /etc/systemd/system/haproxy@.service; do
		if [ -f "$tree$f" ] && put "$f"; then units=yes; fi
	done
	if [ $units = yes ] && systemd; then
		systemctl daemon-reload
		echo "configure haproxy: a changed limit of open files holds from the next restart on"
	fi

	lua=no
	for f in "$tree"/etc/haproxy/*.lua; do
		if put "/etc/haproxy/${f##*/}"; then lua=yes; fi
	done
	for f in "$tree"/etc/haproxy/*.cfg; do
		name=${f##*/}
		changed=$lua
		if put "/etc/haproxy/$name"; then changed=yes; fi
		systemd || continue
		case $name in
		haproxy.cfg) unit haproxy $changed ;;
		*) number=${name#haproxy-} && unit "haproxy@${number%.cfg}" $changed ;;
		esac
	done
	retire
}

# A process that the new tree has no more: stop it and remove its file.
retire() {
	for f in /etc/haproxy/haproxy-*.cfg; do
		[ -f "$f" ] && [ ! -f "$tree$f" ] || continue
		number=${f##*/haproxy-}
		if systemd; then systemctl disable --quiet --now "haproxy@${number%.cfg}"; fi
		rm "$f"
	done
}

case "${1-} ${2-}" in
"install ") install_package ;;
"configure "?*) configure "$2" ;;
*) sed -n '2,5s/^# //p' "$0" >&2; exit 2 ;;
esac
