# Two verbs for newcomers: `make dev` runs a cluster on this machine, `make test` runs everything CI runs.

CARGO ?= cargo
AGENTS ?= 1
DEV_DIR ?= .dev

.PHONY: dev build test lint tests unit sim e2e bench-allocator bench-guards help

help:
	@echo "make dev    install what is missing, build, run a whole cluster on this machine (Ctrl-C ends it)"
	@echo "make test   everything CI runs: format, lints, unit, simulation and end-to-end tests"

dev:
	scripts/install-packages run
	$(CARGO) build --quiet --locked -p proffer
	exec $$(scripts/target-dir)/debug/proffer dev --agents $(AGENTS) --data-dir $(DEV_DIR)

build:
	scripts/install-packages build
	$(CARGO) build --locked --workspace

test:
	scripts/install-packages test
	$(MAKE) --no-print-directory lint
	$(MAKE) --no-print-directory unit
	$(MAKE) --no-print-directory e2e

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

# Everything is compiled once: the same packages in every step, for other packages mean other features of what they share.
tests:
	$(CARGO) build --locked --workspace --all-targets

# Unit, property and conformance tests of every crate, the simulation, and the doc tests.
unit: tests
	$(CARGO) test --locked --workspace --exclude proffer-integration-tests

# Hundreds of seeds of the whole cluster in virtual time; a part of `unit`.
sim:
	$(CARGO) test --locked --workspace --test seeds --test sharing

# Real processes, real containerd, a real registry, a real browser.
e2e: tests
	$(CARGO) test --locked --workspace --test e2e -- --test-threads=1

# The allocator in the shapes in which Apache Mesos' allocator was measured: a table, and target/bench/allocator.json.
bench-allocator:
	scripts/install-packages bench
	$(CARGO) build --locked --release -p proffer-integration-bench --bin bench-allocator
	$$(scripts/target-dir)/release/bench-allocator

# What one framework that misbehaves costs the others of a real master: a table, and target/bench/guards.json.
bench-guards:
	scripts/install-packages bench
	$(CARGO) build --locked --release -p proffer-integration-bench --bin bench-guards
	$$(scripts/target-dir)/release/bench-guards
