#!/bin/sh
# Installs the Debian packages named, those that are missing, and says so. Safe to run often.
set -eu
missing=
for package in "$@"; do
	dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
echo "installing:$missing"
as_root=
[ "$(id -u)" = 0 ] || as_root=sudo
export DEBIAN_FRONTEND=noninteractive
# A machine may have sources that cannot be reached: what matters is whether the packages come.
$as_root apt-get update -qq || echo "apt-get update had errors; going on with the lists there are"
$as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
