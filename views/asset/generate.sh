#!/bin/sh
# Builds what the console's pages load into dist/, which is committed and embedded, and the Go of
# every .templ file. Needs node and npm; the versions are pinned by package-lock.json and go.mod.
set -eu
cd "$(dirname "$0")"

npm ci --no-audit --no-fund --silent

rm -rf dist
mkdir dist
npx tailwindcss --input app.css --output dist/app.css --minify

htmx=node_modules/htmx.org/dist
uplot=node_modules/uplot/dist

# One file for every page, in the order in which they need each other. Source maps stay out.
join() { for f in "$@"; do sed '/^\/\/# sourceMappingURL=/d' "$f"; printf ';\n'; done; }
join "$htmx/htmx.min.js" "$htmx/ext/hx-csp.min.js" "$htmx/ext/hx-sse.min.js" app.js >dist/app.js

# Pages with charts load these two as well.
join "$uplot/uPlot.iife.min.js" chart.js >dist/chart.js
cp "$uplot/uPlot.min.css" dist/chart.css

cp icon.svg dist/icon.svg
{
	for p in htmx.org tailwindcss basecoat-css uplot; do
		printf '%s %s\n\n' "$p" "$(node -p "require('./node_modules/$p/package.json').version")"
		cat node_modules/$p/LICENSE* 2>/dev/null || node -p "require('./node_modules/$p/package.json').license"
		printf '\n\n'
	done
} >dist/licenses.txt

cd ../..
go tool templ generate -path views -log-level warn
