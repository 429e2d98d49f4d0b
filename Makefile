# Every target works in a fresh clone: what is missing is installed first, into this folder.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# Node 24 or newer: the machine's own, else the one that the npm package `node` brings.
own_node := $(shell node -p 'process.versions.node.split(".")[0] >= 24 ? process.execPath : ""' 2>/dev/null)
NODE := $(if $(own_node),$(own_node),$(CURDIR)/tools/node/node_modules/node/bin/node)
export PATH := $(dir $(NODE)):$(PATH)

page_sources := $(shell find src/browser src/core src/media src/container src/wire -type f 2>/dev/null) vite.config.ts

.PHONY: help run debug test check lint bench soak kafka boxes clean

help: ## Show what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

run: build/version.json ## Start a gateway; settings are environment variables
	@exec bin/framelog.js serve

debug: build/version.json ## The same with a debugger port and every log line
	@NODE_OPTIONS=--inspect LOG_LEVEL=$${LOG_LEVEL:-debug} exec bin/framelog.js serve

check: lint ## Types, lint, layers and unit tests: fast
	@$(NODE) test/run.ts check

lint: node_modules/.package-lock.json
	@$(NODE) node_modules/typescript/bin/tsc -p tsconfig.pure.json
	@$(NODE) node_modules/typescript/bin/tsc -p tsconfig.json
	@$(NODE) node_modules/typescript/bin/tsc -p tsconfig.browser.json
	@node_modules/.bin/biome ci --colors=off --error-on-warnings .

test: build/version.json ## All tests, on a real Kafka and a real Chromium
	@$(NODE) test/run.ts prepare
	@$(MAKE) --no-print-directory lint
	@$(NODE) test/run.ts test

soak: build/version.json ## The long forms of the tests
	@$(NODE) test/run.ts prepare
	@$(NODE) test/run.ts soak

bench: build/version.json ## Measure speed and cost
	@$(NODE) bench/run.ts

kafka: node_modules/.package-lock.json ## A real Kafka on this machine (BROKERS=3 for three)
	@exec $(NODE) dev/kafka.ts

boxes: node_modules/.package-lock.json ## Draw boxes over a broadcast: make boxes ID=front-door
	@exec $(NODE) examples/boxes.ts $(ID) $(URL)

clean: ## Remove what was built; installed packages and data stay
	rm -rf build

node_modules/.package-lock.json: package.json package-lock.json $(if $(own_node),,$(NODE))
	@echo 'Installing packages …'
	@npm ci --no-audit --no-fund --loglevel=error
	@touch $@

build/version.json: node_modules/.package-lock.json $(page_sources)
	@echo 'Building the pages …'
	@$(NODE) node_modules/vite/bin/vite.js build --logLevel warn
	@$(NODE) -p 'JSON.stringify({version: require("./package.json").version, build_time: new Date().toISOString()})' > $@

$(CURDIR)/tools/node/node_modules/node/bin/node: tools/node/package.json tools/node/package-lock.json
	@echo 'Installing Node.js 24 …'
	@npm ci --prefix tools/node --no-audit --no-fund --loglevel=error
	@touch $@
