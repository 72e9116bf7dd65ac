# Weir. The two commands: make up, make test.
# Everything here works as root, or through sudo where it has to.

SHELL   := /bin/bash
SUDO    := $(shell [ "$$(id -u)" = 0 ] || echo sudo --preserve-env=WEIR_INVENTORY,WEIR_SQL_PORT,WEIR_STATS_PORT,WEIR_CONSOLE_PORT)
VERSION := $(shell git describe --always --dirty 2>/dev/null || echo unknown)
GOFLAGS_BUILD := -trimpath -ldflags "-s -w -X main.version=$(VERSION)"
export CGO_ENABLED = 0

# What the lab itself needs from Debian; everything else is in the root file system it makes.
DEBS := mmdebstrap debian-archive-keyring

.PHONY: up down status watch build deps node-deps test-deps check test race bench generate

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
	@go build $(GOFLAGS_BUILD) -o bin/ ./ops/weir ./ops/monitor ./server

deps: ## install what is missing, and say what
	@ops/lab/deps.sh $(DEBS)

generate: node-deps ## what is generated and committed: queries, the API, pages, what pages load, the explorer
	@go tool sqlc generate
	@go tool gqlgen generate
	@views/asset/generate.sh
	@cd server/web/explorer && npm ci --no-audit --no-fund --ignore-scripts --silent && npm run --silent build

check: ## format, vet, staticcheck, import rules, generated files
	@ops/check.sh

# The reference clients of GraphQL over HTTP come from npm, and so does axe-core, which the console's pages are
# held to in a browser; a machine that has node, or chromium, keeps its own.
node-deps: deps
	@command -v npm >/dev/null || ops/lab/deps.sh nodejs npm

test-deps: node-deps
	@command -v chromium >/dev/null || ops/lab/deps.sh chromium fonts-dejavu-core
	@cd views/asset && { [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --no-audit --no-fund --ignore-scripts --silent; }

test: test-deps build ## everything, the lab's scripts included; needs root
	@ops/lab/test.sh

race: deps build ## what make test runs before the lab, under the race detector; needs a C compiler
	@$(SUDO) env "PATH=$$PATH" CGO_ENABLED=1 "WEIR_ROOTFS=$$(bin/weir rootfs | tail -1)" go test -count=1 -race $$(go list ./... | grep -v '^weir/ops/lab$$')

bench: deps build ## the measured proof: minutes, prints a table, keeps JSON in .lab/bench
	@$(SUDO) env "PATH=$$PATH" CGO_ENABLED=0 "WEIR_ROOTFS=$$(bin/weir rootfs)" go test ./graph ./server/web -run '^$$' -bench . -benchtime 3s
	@$(SUDO) bin/weir up
	@$(SUDO) bin/weir bench headline

# ---- compose.yml and Vagrantfile: the deployment on this machine -----------------------------------------------------
.PHONY: secrets start stop watch-logs link test-compose test-vagrant
export WEIR_VERSION = $(VERSION)

secrets: ## secrets that are missing, every host's files from the inventory, the addresses into .env
	@[ -f .env ] || { cp .env.example .env && echo "made .env from .env.example: look through it"; }
	@go run ./ops/compose

start: secrets ## docker compose up, the edge's two nodes in containers too unless EDGE=none (then: vagrant up)
	@docker compose $(if $(filter none,$(EDGE)),,--profile edge) up --detach --build --wait

stop: ## end the containers; the data stays
	@docker compose --profile edge down

watch-logs: ## what the containers say
	@docker compose --profile edge logs --follow --tail 20

# As root: they kill a container's main process, which docker kill is not. Both need a Docker engine.
test-compose: ## the whole chain in containers, and what it survives: a minute or two
	@mkdir -p bin && go test -c -o bin/ ./ops/compose
	@cd ops/compose && $(SUDO) env "PATH=$$PATH" WEIR_TEST_ENGINE=1 ../../bin/compose.test -test.v -test.run TestCompose -test.timeout 20m

test-vagrant: ## the edge as machines of the Vagrantfile, provider docker; needs vagrant
	@command -v vagrant >/dev/null || ops/lab/deps.sh vagrant openssh-client
	@mkdir -p bin && go test -c -o bin/ ./ops/compose
	@cd ops/compose && $(SUDO) env "PATH=$$PATH" WEIR_TEST_ENGINE=1 ../../bin/compose.test -test.v -test.run TestVagrant -test.timeout 20m

link: ## the containers' server: a one-time link for the first administrator, while there is none
	@docker compose exec server /usr/local/lib/weir/server --settings /etc/weir/server.env invite --if-first
