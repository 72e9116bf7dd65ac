#!/bin/sh
# Installs and configures keepalived on Debian 13. Safe to run again.
#   provision.sh install         the package and what its scripts need
#   provision.sh configure DIR   puts the files of DIR, this host's tree from `weir render`, in place: checks them first,
#                                reloads only what changed
set -eu

systemd() { [ -d /run/systemd/system ]; }

# The interface that has this node's address, which the rendered file cannot know. $1 is the staged file.
own_interface() {
	address=$(sed -n 's/^ *unicast_src_ip *//p' "$1")
	interface=$(ip -o -4 addr show to "$address/32" | awk '{ print $2; exit }')
	[ -n "$interface" ] || { echo "configure keepalived: no interface of this host has $address: is this another host's tree?" >&2; exit 1; }
	echo "$interface"
}

# keepalived -t exits alike for good and bad files in some versions: judge it by what it prints. The files go where
# they belong first, as the configuration names its scripts and its include by their place; a bad one goes back.
check() {
	said=$(/usr/sbin/keepalived -t -f /etc/keepalived/keepalived.conf 2>&1) || said="$said (exit status $?)"
	[ -z "$said" ] || { echo "$said"; return 1; }
}

install_package() {
	if ! dpkg-query -W -f '${Status}' keepalived 2>/dev/null | grep -q 'ok installed'; then
		export DEBIAN_FRONTEND=noninteractive
		apt-get install -y --no-install-recommends keepalived bash iproute2 ||
			{ apt-get update && apt-get install -y --no-install-recommends keepalived bash iproute2; } # without package lists, in an image
	fi
}

configure() {
	tree=$1
	[ -f "$tree/etc/keepalived/keepalived.conf" ] || { echo "configure keepalived: $tree has no etc/keepalived/keepalived.conf" >&2; exit 1; }
	aside=$(mktemp -d)
	trap 'rm -rf "$aside"' EXIT
	cp -a "$tree/etc/keepalived" "$aside/new"
	interface=$(own_interface "$aside/new/keepalived.conf")
	echo "\$INTERFACE=$interface" >"$aside/new/interface.conf"

	mkdir -p /etc/keepalived
	changed=no
	for f in "$aside"/new/*; do cmp -s "$f" "/etc/keepalived/${f##*/}" || changed=yes; done
	if [ $changed = yes ]; then
		cp -a /etc/keepalived "$aside/old"
		for f in "$aside"/new/*; do install -o root -g root -m "$(stat -c %a "$f")" "$f" /etc/keepalived/; done
		if ! check; then
			rm -rf /etc/keepalived
			cp -a "$aside/old" /etc/keepalived
			echo "configure keepalived: the files are refused, and those that were there are back" >&2
			exit 1
		fi
	fi

	unit=/etc/systemd/system/keepalived.service.d/weir.conf
	unit_changed=no
	if ! cmp -s "$tree$unit" $unit; then
		install -D -o root -g root -m 644 "$tree$unit" $unit
		unit_changed=yes
	fi
	systemd || return 0
	[ $unit_changed = no ] || systemctl daemon-reload
	systemctl enable --quiet keepalived
	if ! systemctl is-active --quiet keepalived; then
		systemctl start keepalived
	elif [ $changed = yes ]; then
		systemctl reload keepalived
	fi
}

case "${1-} ${2-}" in
"install ") install_package ;;
"configure "?*) configure "$2" ;;
*) sed -n '2,5s/^# //p' "$0" >&2; exit 2 ;;
esac
