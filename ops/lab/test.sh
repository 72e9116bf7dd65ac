#!/bin/sh
# What make test runs: every test, with the real programs and the lab.
set -eu
cd "$(dirname "$0")/../.."

if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null || { echo "make test needs root: it makes network namespaces and runs real daemons in them"; exit 1; }
	exec sudo --preserve-env=PATH,GOFLAGS,GOPROXY,GOCACHE,GOMODCACHE,CGO_ENABLED "$0" "$@"
fi

# The real programs that tests start are those of the hosts' root file system.
WEIR_ROOTFS=$(bin/weir rootfs)
export WEIR_ROOTFS

# The lab measures milliseconds: it runs after everything else, and alone.
go test -count=1 $(go list ./... | grep -v '^weir/ops/lab$')
go test -count=1 -timeout 30m -v -run "${WEIR_TEST_RUN:-.}" ./ops/lab
