# Weir. The two commands: make up, make test.
# Everything here works as root, or through sudo where it has to.

SHELL   := /bin/bash
SUDO    := $(shell [ "$$(id -u)" = 0 ] || echo sudo --preserve-env=WEIR_INVENTORY,WEIR_SQL_PORT,WEIR_STATS_PORT,WEIR_CONSOLE_PORT)
VERSION := $(shell git describe --always --dirty 2>/dev/null || echo unknown)
GOFLAGS_BUILD := -trimpath -ldflags "-s -w -X main.version=$(VERSION)"
export CGO_ENABLED = 0

# What the lab itself needs from Debian; everything else is in the root file system it makes.
DEBS := mmdebstrap debian-archive-keyring

.PHONY: up down status watch build deps test-deps check test bench generate verify

up: deps build ## start the lab, and wait until a query through the VIP answers
	@$(SUDO) bin/weir up

down: build ## end the lab; its data stays
	@$(SUDO) bin/weir down

status: build
	@$(SUDO) bin/weir status

watch: build ## the chain, drawn anew every second
	@$(SUDO) bin/weir status --watch

build:
	@mkdir -p bin
	@go build $(GOFLAGS_BUILD) -o bin/ ./ops/weir ./ops/monitor

deps: ## install what is missing, and say what
	@ops/lab/deps.sh $(DEBS)

check: ## format, vet, staticcheck, import rules, generated files
	@ops/check.sh

# The reference clients of GraphQL over HTTP come from npm; a machine that has node keeps its own.
test-deps: deps
	@command -v npm >/dev/null || ops/lab/deps.sh nodejs npm

test: test-deps build ## everything, the lab's scripts included; needs root
	@ops/lab/test.sh

bench: deps build ## the measured proof: minutes, prints a table, keeps JSON in .lab/bench
	@$(SUDO) bin/weir up
	@$(SUDO) bin/weir bench headline
