#!/bin/sh
# pack.sh TREES HOST TAR: a machine's rendered tree and the scripts that put it in its place. Secrets are in it.
set -eu
umask 077
[ -d "$1/$2/etc" ] || { echo "pack $2: $1/$2 is not there: make secrets" >&2; exit 1; }
mkdir -p "$(dirname "$3")"
cd "$(dirname "$0")/.."
tar --create --file="$3.new" --owner=root:0 --group=root:0 \
    haproxy/provision.sh keepalived/provision.sh --transform='s|^tree$|./tree|' -C "$1/$2" --transform='s|^etc|tree/etc|' etc
mv "$3.new" "$3"
