# What is done here every day. `make` lists it.
.DEFAULT_GOAL := help
.PHONY: help drill test check bench dist schema

CARGO ?= cargo

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

drill: ## one real drill: five nodes in three datacenters lose that of the leader
	$(CARGO) run --locked -- run scenarios/leader-datacenter-loss.yaml

test: ## all tests
	$(CARGO) test --locked --no-fail-fast

check: ## format, lints, tests, licences and advisories
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- --deny warnings
	$(MAKE) test
	@CARGO="$(CARGO)" .ci/deny

bench: ## what recording, the load and judging cost; how late faults are; what faults cost at a Docker engine, and in a cluster
	$(CARGO) bench --locked --bench workload --bench check --bench drill --bench docker --bench kubernetes

# Nothing unwinds in it; what is alike stands there once; and its relocations take a byte each, which C libraries from 2022
# on can read: the binary is asked for its version, to see that this one can. The linker is Rust's own on this architecture.
SMALL = '-Clink-arg=-Wl,--no-eh-frame-hdr,-T,.cargo/small.ld,--icf=all,-z,pack-relative-relocs'

dist: ## the binary that is handed out, under target/; small, and slow to build
	$(CARGO) build --profile dist --locked --config "target.'cfg(target_arch = \"x86_64\")'.rustflags = [$(SMALL)]"
	./target/*/dist/firedrill --version

schema: ## the JSON Schema of scenarios, beside them, for editors
	$(CARGO) run --quiet --locked -- schema > scenarios/scenario.schema.json.new
	mv scenarios/scenario.schema.json.new scenarios/scenario.schema.json
