#!/bin/sh
# provision.sh HOST: on the machine, as root. Unpacks what pack.sh packed and runs each component's own provision.sh, which
# checks the new files first and reloads only what changed.
set -eu
tar=/home/vagrant/weir.tar
dir=$(mktemp -d)
trap 'rm -rf "$dir" $tar' EXIT
tar --extract --preserve-permissions --file=$tar --directory="$dir"
for component in haproxy keepalived; do
    "$dir/$component/provision.sh" install
    "$dir/$component/provision.sh" configure "$dir/tree"
done
echo "$1: $(haproxy -v | head -n 1); $(keepalived --version 2>&1 | head -n 1)"
