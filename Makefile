.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
SCRIPTS := hack/with-parent hack/require hack/control-plane-tools hack/boto3-venv hack/promtool hack/static-program \
	hack/image-root hack/image hack/node hack/node-inside .ci/run
CHART_TOOLS := etcd kubectl kube-apiserver helm helm-unittest helm-docs ct kstatus
ECOSYSTEM_TOOLS := etcd kubectl kube-apiserver kustomize-controller argocd miniredis
NODE_TOOLS := kube-controller-manager kube-scheduler kube-proxy kubelet coredns crane
.PHONY: help demo test test-node test-ecosystem lint manifests run bench image tools clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Show Rollcall on a real API server and a local Chime service (DEMO_EXIT=1: ends by itself)
	@hack/require rust
	@echo "==> 1/3 control plane tools"
	@hack/control-plane-tools >/dev/null
	@echo "==> 2/3 compile"
	@cargo build --locked --bins --example demo
	@echo "==> 3/3 demo"
	@cargo run --locked --quiet --example demo

# Tests mostly wait, so they run in more threads than a small machine has cores.
test: ## Run all tests
	@hack/require rust
	@echo "==> 1/5 Python with boto3 and jsonschema, promtool"
	@hack/boto3-venv >/dev/null
	@hack/promtool >/dev/null || echo "The alerts are not tested."
	@{ command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null || echo "Chromium is missing (Debian: chromium): the HTML page of a plan is not tested in a browser."
	@echo "==> 2/5 control plane and chart tools"
	@hack/control-plane-tools $(CHART_TOOLS) >/dev/null
	@echo "==> 3/5 compile"
	@cargo test --locked --no-run
	@echo "==> 4/5 tests"
	@RUST_TEST_THREADS=$${RUST_TEST_THREADS:-4} cargo test --locked
	@echo "==> 5/5 a real node"
	@$(MAKE) test-node

test-node: ## Run the image and the chart on a real Kubernetes node (Linux, as root)
	@hack/require rust
	@! hack/node --check || { \
	echo "==> node: 1/3 programs of the node" && \
	hack/control-plane-tools etcd kubectl kube-apiserver helm $(NODE_TOOLS) >/dev/null && \
	echo "==> node: 2/3 image" && mkdir -p target && hack/image target/image-ci.tar ci && \
	echo "==> node: 3/3 test" && cargo test --locked --test node -- --ignored --nocapture; }

test-ecosystem: ## Test with Flux and Argo CD (the first run builds them for 15 minutes)
	@hack/require rust
	@for tool in go git tar; do command -v $$tool >/dev/null || missing="$$missing $$tool"; done; [ -z "$$missing" ] || \
	{ echo "ecosystem: skipped, because$$missing is missing: Go builds Flux and Argo CD, git and tar hold the manifests"; exit 0; } && \
	echo "==> ecosystem: 1/3 Flux and Argo CD" && \
	hack/control-plane-tools $(ECOSYSTEM_TOOLS) >/dev/null && \
	echo "==> ecosystem: 2/3 compile" && cargo test --locked --no-run --test ecosystem && \
	echo "==> ecosystem: 3/3 test" && cargo test --locked --test ecosystem -- --ignored --nocapture

lint: ## Check format, lints, scripts and dependencies
	@hack/require rust
	@echo "==> 1/5 format"
	@cargo fmt --check
	@echo "==> 2/5 clippy"
	@cargo clippy --locked --all-targets -- -D warnings
	@echo "==> 3/5 scripts"
	@for script in $(SCRIPTS); do $$(sed -n '1s/.*[/ ]//p' $$script) -n $$script || exit; done
	@if command -v shellcheck >/dev/null; then shellcheck $(SCRIPTS); \
	else echo "Only the syntax is checked: install shellcheck for more."; fi
	@if command -v go >/dev/null; then go -C hack/tools/lint tool actionlint $(CURDIR)/.github/workflows/*.yaml; \
	else echo "The workflows are not checked: that needs Go."; fi
	@echo "==> 4/5 dependencies"
	@if command -v cargo-deny >/dev/null; then cargo deny --locked check; \
	else echo "Skipped: 'cargo install --locked cargo-deny' installs the check of licences and advisories (deny.toml)."; fi
	@echo "==> 5/5 prose"
	@hack/prose

manifests: ## Write crds/, the JSON schema, and the chart's CRD and README
	@hack/require rust
	@mkdir -p crds target
	cargo run --locked --quiet -- crd > target/new-crd.yaml
	@mv target/new-crd.yaml crds/channelmemberships.rollcall.dev.yaml
	cp crds/channelmemberships.rollcall.dev.yaml charts/rollcall/files/
	cargo run --locked --quiet -- crd --json-schema > target/new-schema.json
	@mv target/new-schema.json docs/channelmembership.schema.json
	"$$(hack/control-plane-tools helm-docs)/helm-docs" --log-level=warning --chart-search-root charts/rollcall

run: ## Run the operator against the cluster of KUBECONFIG (ARGS="--chime-bearer …")
	@hack/require rust
	@cargo run --locked -- run $(ARGS)

bench: ## Measure calls, time and memory for 100, 1,000 and 5,000 resources
	@hack/require rust
	@echo "==> 1/2 control plane tools"
	@hack/control-plane-tools >/dev/null
	@echo "==> 2/2 benchmarks"
	@cargo bench --locked

image: ## Make target/image.tar without Docker (push it with: crane push target/image.tar NAME)
	@hack/require rust
	@mkdir -p target
	@hack/image target/image.tar

tools: ## Build the control plane and chart tools if they are missing, and print their folder
	@hack/control-plane-tools $(CHART_TOOLS)

clean: ## Remove cargo's output (the control plane tools stay in their cache: see make tools)
	@hack/require rust
	@cargo clean
