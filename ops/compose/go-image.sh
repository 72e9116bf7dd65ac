#!/bin/sh
# Makes the image weir-go from this machine's own Go, where golang:1.26-trixie cannot be pulled. Then set
# WEIR_GO_IMAGE=weir-go in .env.
set -eu
docker build ${WEIR_BUILD_NETWORK:+--network "$WEIR_BUILD_NETWORK"} -t weir-go -f - "$(go env GOROOT)" <<'DOCKERFILE'
FROM debian:trixie-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*
COPY . /usr/local/go
ENV PATH=/usr/local/go/bin:/usr/sbin:/usr/bin:/sbin:/bin GOPATH=/go GOTOOLCHAIN=local
DOCKERFILE
