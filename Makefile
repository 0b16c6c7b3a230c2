# Thin recipes: what takes thought is in tools/ and kindling/. GNU make 4 or 3.81.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup preview up refresh destroy roll demo demo-down test cluster-test lint types bench nightly clean-cache

STACK ?=
ARGS ?=
PYTHON3 ?= python3
PYTHON := .venv/bin/python
LOCK := $(shell cksum < requirements/development.txt | tr ' ' '-')
TOOLS := pulumi butane ignition-validate plugins
TEST_TOOLS := kubeadm kubectl kube-apiserver kube-controller-manager etcd containerd coredns versitygw registry
CLUSTER_TOOLS := kubeadm kubectl kubelet kube-apiserver kube-controller-manager kube-scheduler kube-proxy \
  etcd containerd runc cni-plugins coredns pause ignition
export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/.tools/bin:$(PATH)

DEMO := $(filter demo demo-down,$(MAKECMDGOALS))$(filter demo,$(STACK))
export PULUMI_SKIP_UPDATE_CHECK ?= true

# State: what PULUMI_BACKEND_URL or `pulumi login` says, else a folder of this checkout.
LOGIN := $(shell grep -s '"current": *"[^"]' "$${PULUMI_HOME:-$$HOME/.pulumi}/credentials.json")
ifeq ($(PULUMI_BACKEND_URL)$(LOGIN),)
export PULUMI_BACKEND_URL := file://$(CURDIR)/.pulumi-state
endif

# The demonstration never touches the user's own state. Its machines are simulated and its secrets
# guard nothing, so its passphrase is known; `make demo` makes the boot server's token.
ifneq ($(DEMO),)
export PULUMI_BACKEND_URL := file://$(CURDIR)/.pulumi-state
export PULUMI_CONFIG_PASSPHRASE := demo
export KINDLING_STORE_TOKEN := $(shell cat .demo/token 2>/dev/null)
unexport PULUMI_CONFIG_PASSPHRASE_FILE
endif

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "make %-12s %s\n", $$1, $$2 }'

setup: .venv/.locked-$(LOCK) ## Make the Python environment, the tools and the plugins
	@$(PYTHON) tools/install.py $(TOOLS)

.venv/.locked-$(LOCK):
	@$(PYTHON3) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "setup: $(PYTHON3) is missing or older than 3.11; name another: make setup PYTHON3=python3.12" >&2; exit 1; }
	@$(PYTHON3) -c 'import venv, ensurepip' 2>/dev/null || tools/install-venv
	@$(PYTHON) -c '' 2>/dev/null || { echo "making .venv"; $(PYTHON3) -m venv --clear .venv; }
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/development.txt
	@rm -f .venv/.locked-* && touch $@

# A preview that names each file of each machine, which Pulumi's short form does not.
preview: ARGS += --diff

preview up refresh destroy: need-stack setup
	@tools/with-stack $(STACK) pulumi $@ --stack $(STACK) $(ARGS)

preview: ## Show what `up` would change: make preview STACK=staging
up: ## Create or change what the stack file describes: make up STACK=staging
refresh: ## Compare the state with what is really there: make refresh STACK=staging
destroy: ## Remove everything that the stack made: make destroy STACK=staging

roll: need-stack setup ## Install outdated machines again, a few at a time: make roll STACK=staging
	@$(PYTHON) tools/install.py kubectl
	@tools/with-stack $(STACK) $(PYTHON) -m kindling roll $(STACK) $(ARGS)

.PHONY: need-stack
need-stack:
	@test -n "$(STACK)" || { echo "name the stack, as in: make $(or $(MAKECMDGOALS),up) STACK=staging" >&2; exit 2; }

demo: setup ## Boot a simulated fleet on this machine
	@$(PYTHON) tools/demo.py up

demo-down: setup ## Take the demonstration down again
	@$(PYTHON) tools/demo.py down

test: lint types ## Run every check; pytest's closing line comes last
	@tools/test-packages
	@$(PYTHON) tools/install.py $(TEST_TOOLS)
	@$(PYTHON) -m pytest -n $(or $(WORKERS),2) $(ARGS)

cluster-test: setup ## Bring up real clusters in containers of this machine, from rendered files (root)
	@tools/cluster-packages
	@$(PYTHON) tools/install.py $(CLUSTER_TOOLS)
	@$(PYTHON) -m pytest -m cluster tests/cluster $(ARGS)

lint: setup ## Check style and formatting
	@ruff check .
	@ruff format --check .

types: setup ## Check types
	@mypy

bench: setup ## Measure; see docs for what and how
	@$(PYTHON) -m tools.bench $(ARGS)

nightly: setup ## Run the tests and the long checks
	@tools/test-packages
	@$(PYTHON) tools/install.py $(TEST_TOOLS)
	@$(PYTHON) -m pytest -n $(or $(WORKERS),2) -m "not cluster" $(ARGS)

clean-cache: ## Delete the built tools; everything in the cache can be made again
	rm -rf "$${KINDLING_CACHE:-$${XDG_CACHE_HOME:-$$HOME/.cache}/kindling}/tools" .tools
