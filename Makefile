# Thin names for commands that the README shows; each installs or starts what it needs, and says so.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
BIN := .venv/bin
CONTROL_PLANES ?= 1
WORKERS ?= 2
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg

.PHONY: help setup cluster test lint unit browser molecule e2e faults bench clean

help: ## Show what there is
	@sed -n 's/^\([a-z0-9]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

setup: .venv/.installed ## Make the virtual environment .venv

.venv/.installed: pyproject.toml requirements.lock bin/setup
	bin/setup

cluster: setup ## Bring up the lab, install Kubernetes with site.yml, prove it
	pyk8s lab up --control-planes $(CONTROL_PLANES) --workers $(WORKERS)
	pyk8s artifacts fetch
	ansible-playbook site.yml
	pyk8s verify
	pyk8s lab reach

test: lint unit browser molecule e2e ## Everything CI runs

lint: setup ## Style, types, Ansible's production profile, budgets
	bin/lint

unit: setup ## Unit and golden tests
	pytest tests/unit tests/golden

browser: setup ## The HTML report in headless Chromium
	bin/browser
	pytest tests/browser

molecule: setup ## The roles in Docker: all in one node, three etcd members, three control planes
	bin/molecule-all

e2e: setup ## Real clusters: install, second run, verify, faults, sabotage
	pytest tests/e2e
	pytest tests/ha

faults: setup ## The fault suite against the lab (make cluster CONTROL_PLANES=3), into build/faults.html
	pyk8s verify --suite faults --html build/faults.html --json build/faults.json --junit build/faults.xml

bench: setup ## Measure, into build/bench.json
	python -m tests.bench

clean: ## Remove the default lab, and what was built here
	[ ! -x $(BIN)/pyk8s ] || $(BIN)/pyk8s lab down
	rm -rf build .pytest_cache .mypy_cache .ruff_cache
