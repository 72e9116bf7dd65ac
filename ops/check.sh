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
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard | tar --null --files-from=- --create --ignore-failed-read 2>/dev/null | tar --extract --directory="$copy"
(cd "$copy" && go tool templ generate -path views -log-level error && go tool gqlgen generate)
for made in views graph/gen; do
	diff --recursive --brief --exclude=node_modules "$made" "$copy/$made" || { echo "not what its sources make: run make generate"; exit 1; }
done
# The rules of who may import whom, each with its reason.
go test -run TestNobodyImportsWhatTheDesignForbids ./ops/weir
# What breaks clients of the API is named in CHANGELOG.md.
go test -run TestWhatBreaksClientsIsNamedInTheChangelog ./graph
go mod verify >/dev/null
echo "check: all good"
