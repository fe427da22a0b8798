# Telltale: everything a person or a CI machine runs. Needs Go and Node; the rest is set up by the targets themselves.

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)

LINT_VERSION := v2.12.2
LINT := bin/tools/golangci-lint-$(LINT_VERSION)
# Its cache is this checkout's own: shared with another one it reports that one's paths, which no exclusion matches.
export GOLANGCI_LINT_CACHE := $(CURDIR)/bin/tools/cache

# npm writes this file last, so it tells whether the packages are there and newer than the lockfile.
INSTALLED := node_modules/.package-lock.json
NPM_CI := npm ci --no-audit --no-fund --prefix

WEB_SOURCES := $(shell find web -name node_modules -prune -o -path web/dist -prune -o -path web/e2e -prune -o -type f -print)
GO_FILES = $$(find . -name node_modules -prune -o -name '*.go' -print)

# Everything but the race detector builds without cgo, so that vet, lint and build share one cache.
export CGO_ENABLED := 0

# One thing at a time: the tests measure and start processes, and their output should be readable.
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help run test build check prove bench clean need-go need-node need-gcc need-chromium need-proxies need-python go-test fuzz web-test e2e

help:
	@echo 'make run      set up, build, start the hub and an agent for this host'
	@echo 'make test     set up and run every test: format, vet, lint, Go, web, end to end'
	@echo 'make build    build bin/telltale, bin/telltale-agent and bin/telltale-bench'
	@echo 'make check    format, vet and lint, Go and web'
	@echo 'make prove    the long proofs: kills, outages, fuzzing; hours'
	@echo 'make bench    Go benchmarks, and a load test of hub and ClickHouse'
	@echo 'make clean    remove what was built and installed here; data/ stays'

run: build
	@.ci/run-local

test: check web-test go-test fuzz e2e

build: need-go aggregate/engine/$(INSTALLED) web/dist/index.html
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/telltale ./cmd/telltale-agent ./cmd/telltale-bench

check: need-go $(LINT) web/$(INSTALLED)
	@echo 'gofmt -l .'; unformatted=$$(gofmt -l $(GO_FILES)) && test -z "$$unformatted" || { echo "not formatted, run gofmt -w: $$unformatted" >&2; exit 1; }
	go vet ./...
	$(LINT) run
	npm run check --prefix web

go-test: build need-gcc need-chromium need-proxies need-python docs/examples/shop/$(INSTALLED) stream/clients/$(INSTALLED) cmd/telltale/readers/$(INSTALLED)
	CGO_ENABLED=1 go test -race -timeout 15m ./...

# What reads bytes from strangers or from a disk; all other targets have their seeds run by go-test, and are fuzzed by prove.
fuzz: need-go
	.ci/fuzz 2s ingest

web-test: web/$(INSTALLED)
	npm test --prefix web

e2e: build need-chromium
	npm run e2e --prefix web

# The long proofs stand behind a build tag, so that no ordinary test has to skip. One package at a time: they load the machine.
prove: build need-gcc
	CGO_ENABLED=1 go test -race -tags prove -run Prove -v -p 1 -timeout 6h ./...
	.ci/fuzz 10m

bench: build
	go test -run '^$$' -bench . -benchmem -p 1 -timeout 30m ./...
	.ci/bench

clean:
	rm -rf bin aggregate/engine/node_modules web/node_modules docs/examples/shop/node_modules stream/clients/node_modules cmd/telltale/readers/node_modules
	find web/dist -mindepth 1 ! -name .gitkeep -delete

aggregate/engine/$(INSTALLED): aggregate/engine/package.json aggregate/engine/package-lock.json | need-node
	$(NPM_CI) aggregate/engine
	@touch $@; test -d $(@D)/@chdb || { rm -f $@; echo 'warning: npm brought no ClickHouse library; put a clickhouse binary on PATH or name one with --engine' >&2; }

web/$(INSTALLED): web/package.json web/package-lock.json | need-node
	$(NPM_CI) web
	@touch $@

docs/examples/shop/$(INSTALLED): docs/examples/shop/package.json docs/examples/shop/package-lock.json | need-node
	$(NPM_CI) docs/examples/shop
	@touch $@

stream/clients/$(INSTALLED): stream/clients/package.json stream/clients/package-lock.json | need-node
	$(NPM_CI) stream/clients
	@touch $@

cmd/telltale/readers/$(INSTALLED): cmd/telltale/readers/package.json cmd/telltale/readers/package-lock.json | need-node
	$(NPM_CI) cmd/telltale/readers
	@touch $@

web/dist/index.html: $(WEB_SOURCES) web/$(INSTALLED)
	npm run build --prefix web

# Named with its version, so that a new version is built and an old one never used.
$(LINT): | need-go
	GOBIN=$(CURDIR)/bin/tools go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	@mv bin/tools/golangci-lint $@

need-go:
	@.ci/need go

need-node:
	@.ci/need node npm

need-gcc:
	@.ci/need gcc

need-chromium:
	@.ci/need chromium

# Its standard library reads results of SQL.
need-python:
	@.ci/need python3

# The edge's proxies and curl, through which the stream is tested.
need-proxies:
	@.ci/need caddy nginx haproxy curl
