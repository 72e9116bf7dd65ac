#!/bin/sh
# What make check runs: format, vet, staticcheck, import rules. Nothing is changed.
set -eu
cd "$(dirname "$0")/.."

unformatted=$(gofmt -l $(git ls-files '*.go'))
if [ -n "$unformatted" ]; then
	echo "not formatted, run gofmt -w: $unformatted"
	exit 1
fi
go vet ./...
go tool staticcheck ./...
# What is generated is committed, and is what the sources make.
CGO_ENABLED=0 go tool sqlc diff
CGO_ENABLED=0 go tool sqlc vet
# The rules of who may import whom, each with its reason.
go test -run TestNobodyImportsWhatTheDesignForbids ./ops/weir
# What breaks clients of the API is named in CHANGELOG.md.
go test -run TestWhatBreaksClientsIsNamedInTheChangelog ./graph
go mod verify >/dev/null
echo "check: all good"
