# Short names for what people and CI run; what each does stands in the tool that it calls.

DEMO_DIR := .demo
TARGET_DIR = $(or $(CARGO_TARGET_DIR),target)
TEST = $(shell cargo nextest --version >/dev/null 2>&1 && echo nextest run || echo test)
CLIENTS := .tools/official-clients
export PYTHONDONTWRITEBYTECODE = 1

.DEFAULT_GOAL := help
CHECKS := .tools/compose-check
POWERSHELL := .tools/powershell-check
BROWSER := .tools/browser
.PHONY: help demo clean-demo test test-rust test-clients test-compose test-powershell test-mail test-browser screenshots check fmt lint bench gen up down tools

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: tools ## show one edit travel from a PBX to Microsoft Teams; ONCE=1 ends after the story
	cargo build --package tandem
	$(TARGET_DIR)/debug/tandem demo --data $(DEMO_DIR) $(if $(ONCE),--once)

clean-demo: ## remove what the demo keeps
	rm -rf "$$(readlink -m $(DEMO_DIR)/elsewhere)" $(DEMO_DIR)

test: test-rust test-clients test-compose test-powershell test-mail test-browser ## run every test, with servers of its own

# most of a test is waiting for what it started
test-rust: tools
	cargo build --package tandem
	NEXTEST_TEST_THREADS=$$(($$(nproc) * 2)) cargo $(TEST) --workspace

test-clients:
	cargo build --package msgraph-sim
	python3 deploy/tools/python_env.py $(CLIENTS) tests/official-clients/requirements.txt
	$(CLIENTS)/bin/python tests/official-clients/check.py $(TARGET_DIR)/debug/msgraph-sim

test-compose: tools
	cargo build --package tandem --package msgraph-sim
	python3 deploy/tools/python_env.py $(CHECKS) tests/compose/requirements.txt
	$(CHECKS)/bin/python tests/compose/check.py "$$(ls .tools/bin/nats-server 2>/dev/null || command -v nats-server)" $(TARGET_DIR)/debug

test-browser: tools
	cargo build --package tandem
	python3 deploy/tools/package.py chromium
	python3 deploy/tools/python_env.py $(BROWSER) tests/browser/requirements.txt
	$(BROWSER)/bin/python -m pytest -q -p no:cacheprovider tests/browser --tandem $(TARGET_DIR)/debug/tandem $(WALKS)

screenshots: ## pictures of every page of the portal, light, dark and as wide as a phone, into target/screenshots
	$(MAKE) test-browser WALKS="-k test_page --screenshots $(TARGET_DIR)/screenshots"

test-powershell:
	python3 deploy/tools/python_env.py $(POWERSHELL) tests/powershell/requirements.txt
	$(POWERSHELL)/bin/python tests/powershell/check.py crates/tandem/src/tenant/script/snapshots

test-mail: tools
	python3 deploy/tools/node_env.py target/maildev tests/mail
	cargo test --workspace --test it -- --ignored maildev

check: lint ## format, lints, banned dependencies, licences, file lengths
	python3 deploy/tools/fetch.py .tools cargo-deny
	.tools/bin/cargo-deny check --hide-inclusion-graph --allow unused-wrapper bans licenses sources
	python3 deploy/tools/file_lengths.py .

fmt: ## format the code
	cargo fmt --all

lint: ## formatting and lints, warnings denied
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- --deny warnings

bench: tools ## measure; FIGURES=name,... measures some
	cargo run --release --package tandem-bench -- $(if $(FIGURES),--figures $(FIGURES))

gen: ## generate docs/roles.md and docs/openapi.json from the code; code from proto/ is made by every build
	cargo build --package tandem
	$(TARGET_DIR)/debug/tandem config roles > docs/roles.md
	$(TARGET_DIR)/debug/tandem config openapi > docs/openapi.json

up: ## start everything in containers and wait until it is healthy
	docker compose up --build --detach --wait

down: ## stop the containers; their volumes stay
	docker compose down

tools: ## put nats-server and PostgreSQL into .tools unless the machine has good ones
	@python3 deploy/tools/fetch.py .tools nats-server postgres
