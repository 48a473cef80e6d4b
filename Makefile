# Everything a newcomer needs: `make run` and `make test`. Debian 12 or Ubuntu, a Rust toolchain, root.

CARGO ?= cargo
export CARGO_TARGET_DIR ?= $(CURDIR)/target

.PHONY: run test test-third-party build deps check clean

## A one-machine cluster with a web service of three instances, in the foreground until Ctrl-C (ONCE=1: until it answered).
run: build
	@scripts/run-demo.sh "$(CARGO_TARGET_DIR)/release/dcos"

## The release binary.
build:
	@scripts/install-deps.sh run
	$(CARGO) build --release --package dcos

## Every test. Needs root: containers are real.
test:
	@scripts/install-deps.sh test
	FUZZ_SECONDS=60 $(CARGO) test --workspace --profile ci

## schemathesis (from the Python package index) fuzzes the API, a framework on pymesos (from there, too) runs 1,000 tasks,
## and marathon-lb follows a cluster: MARATHON_LB is the directory of a copy of it, which no package archive has.
test-third-party: build
	@scripts/install-deps.sh third-party
	$(CARGO) test --package api --features fuzz --test fuzz --profile ci
	@scripts/test-pymesos.sh "$(CARGO_TARGET_DIR)/release/dcos"
	@scripts/test-marathon-lb.sh "$(CARGO_TARGET_DIR)/release/dcos" "$(MARATHON_LB)"

## Format, lints, licences.
check:
	@scripts/install-deps.sh run
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) deny check bans licenses sources

clean:
	$(CARGO) clean
