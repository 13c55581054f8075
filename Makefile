# Sluice. `make help` lists the targets. Everything downloaded or built lands in
# .cache (by version) and bin/.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

ENVOY_VERSION         := 1.40.0
GOLANGCI_VERSION      := v2.15.0
GOVULNCHECK_VERSION   := v1.9.0

CACHE   := $(CURDIR)/.cache
ENVOY   := $(CACHE)/envoy/$(ENVOY_VERSION)/envoy
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)

export SLUICE_ENVOY := $(ENVOY)
# Two cores are enough for all targets; a larger machine may raise it.
GOFLAGS_TEST ?= -p 2

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z][a-zA-Z_-]*:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-16s %s\n", $$1, $$2}'

.PHONY: deps
deps: ## Install the Debian packages that the tests use (root)
	@build/deps.sh test

.PHONY: deps-run
deps-run:
	@build/deps.sh run

.PHONY: deps-generate
deps-generate: ## Install the Debian packages that `make generate` uses (root)
	@build/deps.sh generate

.PHONY: envoy
envoy: $(ENVOY) ## Fetch the pinned stock Envoy
$(ENVOY): build/envoy.sh
	@build/envoy.sh $(ENVOY_VERSION) $@

.PHONY: build
build: ## Build bin/sluice, one static binary
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/sluice ./cmd/sluice

# The image's name, that which the chart asks for unless told otherwise:
# make image IMAGE=registry.example.com/sluice:v1
IMAGE ?= sluice.io/sluice:$(shell sed -n 's/^appVersion: //p' charts/sluice/Chart.yaml)

.PHONY: image
image: envoy ## Write bin/sluice-image.tar, an OCI archive of sluice and Envoy, called IMAGE
	go run ./test/install/cmd image bin/sluice-image.tar $(IMAGE)

.PHONY: demo
demo: deps-run envoy build ## Show it live in this terminal (root)
	@demo/run.sh

.PHONY: cluster
cluster: cluster-build ## Bring up a real two-node Kubernetes on this machine (root)
	go run ./test/cluster/cmd up -gateway-api experimental

.PHONY: cluster-install
cluster-install: envoy ## Install the working tree on that cluster, by its Helm chart, with addresses for Gateways
	go run ./test/install/cmd install

.PHONY: cluster-down
cluster-down: ## Take it down; nothing is left behind
	go run ./test/cluster/cmd down

.PHONY: cluster-build
cluster-build: ## Build the cluster's programs and images, once per version (10 to 15 minutes)
	@build/deps.sh cluster
	go run ./test/cluster/cmd build

.PHONY: test
test: deps envoy build cluster-build ## Run every test: unit, kernel, Envoy, end to end, cluster, conformance (root)
	go test $(GOFLAGS_TEST) -race -timeout 40m $$(go list ./... | grep -vE '/test/(cluster|identity|install)(/|$$)')
	go test -p 1 -race -timeout 40m ./test/cluster/... ./test/identity/... ./test/install/...
	$(MAKE) conformance

.PHONY: conformance
conformance: envoy cluster-build ## Run the Gateway API's own suite on a cluster of its own: all profiles, all features (root)
	cd conformance && go vet ./... && go test -run TestEveryTestIsAsked ./...
	go run ./test/install/cmd conformance -up -kind all

.PHONY: test-unit
test-unit: ## Run the tests that need neither root nor Envoy
	go test $(GOFLAGS_TEST) -short ./...

.PHONY: bench
bench: envoy build ## Measure; writes docs/benchmarks.md (root, about 15 minutes)
	@build/deps.sh bench
	go run ./test/bench

.PHONY: bench-cluster
bench-cluster: envoy cluster-build ## Measure gateways on a cluster of its own, against Envoy Gateway; writes docs/benchmarks.md (root, about 25 minutes)
	go run ./test/bench/cluster

.PHONY: fuzz
fuzz: ## Fuzz the YAML reader and the matchers for a minute each
	build/fuzz.sh 60s

.PHONY: generate
generate: ## Regenerate BPF objects, deep copies, CRDs
	go generate ./...

.PHONY: golden
golden: envoy ## Rewrite the golden files; explain each change in the commit
	build/golden.sh

.PHONY: lint
lint: $(CACHE)/bin/golangci-lint-$(GOLANGCI_VERSION) ## Run golangci-lint and, where it can reach its database, govulncheck
	$< run --allow-parallel-runners ./...
	@build/vuln.sh $(GOVULNCHECK_VERSION)

$(CACHE)/bin/golangci-lint-$(GOLANGCI_VERSION):
	@mkdir -p $(@D)
	GOBIN=$(@D) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	mv $(@D)/golangci-lint $@

.PHONY: verify
verify: deps deps-generate envoy build ## Check what is generated, and lint
	$(MAKE) generate
	@test -z "$$(git status --porcelain)" || { git status --short; git diff; echo "generated files differ from the committed ones: run 'make generate' and commit"; exit 1; }
	$(MAKE) lint

.PHONY: check
check: verify ## All that CI checks: verify, and test
	$(MAKE) test

.PHONY: clean
clean: ## Remove bin/ (the cache in .cache stays)
	rm -rf bin
