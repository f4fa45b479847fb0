.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
SCRIPTS := hack/with-parent hack/require hack/control-plane-tools hack/boto3-venv .ci/run
.PHONY: help demo test lint manifests run bench tools clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Show Rollcall at work on a real API server and a local Chime service (DEMO_EXIT=1: end by itself)
	@hack/require rust
	@echo "==> 1/3 control plane tools"
	@hack/control-plane-tools >/dev/null
	@echo "==> 2/3 compile"
	@cargo build --locked --bins --example demo
	@echo "==> 3/3 demo"
	@cargo run --locked --quiet --example demo

test: ## Run all tests
	@hack/require rust
	@echo "==> 1/4 Python with boto3"
	@hack/boto3-venv >/dev/null
	@echo "==> 2/4 control plane tools"
	@hack/control-plane-tools >/dev/null
	@echo "==> 3/4 compile"
	@cargo test --locked --no-run
	@echo "==> 4/4 tests"
	@RUST_TEST_THREADS=$${RUST_TEST_THREADS:-4} cargo test --locked # stories wait more than they work

lint: ## Check format, lints, scripts and dependencies
	@hack/require rust
	@echo "==> 1/4 format"
	@cargo fmt --check
	@echo "==> 2/4 clippy"
	@cargo clippy --locked --all-targets -- -D warnings
	@echo "==> 3/4 scripts"
	@for script in $(SCRIPTS); do $$(sed -n '1s/.*[/ ]//p' $$script) -n $$script || exit; done # by the shell of its first line
	@if command -v shellcheck >/dev/null; then shellcheck $(SCRIPTS); \
	else echo "only their syntax: for more, install shellcheck"; fi
	@echo "==> 4/4 dependencies"
	@if command -v cargo-deny >/dev/null; then cargo deny --locked check; \
	else echo "skipped: 'cargo install --locked cargo-deny' checks licences and advisories by deny.toml"; fi

manifests: ## Write crds/ from the types
	@hack/require rust
	@mkdir -p crds target
	cargo run --locked --quiet -- crd > target/new-crd.yaml
	@mv target/new-crd.yaml crds/channelmemberships.rollcall.dev.yaml

run: ## Run the operator against the cluster of KUBECONFIG (ARGS="--chime-bearer …")
	@hack/require rust
	@cargo run --locked -- run $(ARGS)

bench: ## Measure calls, time and memory for 100, 1,000 and 5,000 resources
	@hack/require rust
	@echo "==> 1/2 control plane tools"
	@hack/control-plane-tools >/dev/null
	@echo "==> 2/2 benchmarks"
	@cargo bench --locked

tools: ## Build the control plane tools, if they are missing, and print their folder
	@hack/control-plane-tools

clean: ## Remove what cargo built (the control plane tools stay in their cache: see make tools)
	@hack/require rust
	@cargo clean
