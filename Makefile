PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TYPED := app plugins
CPUS := $(shell $(PYTHON) -c 'import os; print(os.cpu_count() or 1)')
# One more than there are processors: tests in a browser wait a good part of their time.
WORKERS ?= $(shell expr $(CPUS) + 1)
PYTEST := $(BIN)/python -m pytest --dist=loadfile --no-loadscope-reorder

.PHONY: help run test test-fast test-most test-browser test-js fuzz coverage check lint-files lint-frontend format format-frontend bench \
	translations screenshots dist vendor clean
.DEFAULT_GOAL := help

help: ## Show what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

run: $(VENV)/.installed ## Install what is missing, migrate, and serve on port 9666
	@exec $(BIN)/python wsgi.py

test: $(VENV)/.installed-dev ## Install what tests need and run them all
	$(PYTEST) --numprocesses=$(WORKERS)

test-fast: $(VENV)/.installed-dev ## Run the quick tests: those on SQLite within the process
	EXAMPLES_SHARE=0.1 $(PYTEST) --numprocesses=$(CPUS) -m "not slow and not postgresql and not browser and not load and not deploy" \
		--ignore=tests/browser --ignore=tests/faults --ignore=tests/fuzz

test-most: $(VENV)/.installed-dev ## Run all tests but those in a browser, under load and of deployments
	$(PYTEST) --numprocesses=$(WORKERS) -m "not browser and not load and not deploy" --ignore=tests/browser

test-browser: $(VENV)/.installed-dev ## Run the tests in a browser
	$(PYTEST) --numprocesses=$(WORKERS) tests/browser

coverage: $(VENV)/.installed-dev ## Run `test-most`, and print which share of the lines ran and the files below 80 %
	$(PYTEST) --numprocesses=$(WORKERS) -m "not browser and not load and not deploy" --ignore=tests/browser \
		--cov --cov-report=
	$(BIN)/python scripts/uncovered.py

fuzz: $(VENV)/.installed-dev ## Send a hundred made-up requests to every operation of the API, as everybody
	FUZZ_EXAMPLES=100 $(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=load tests/fuzz

test-js: ## Run the unit tests of the JavaScript (needs Node.js 20 or newer)
	node --test tests/js/*.test.js

check: $(VENV)/.installed-dev lint-files ## Lint, formatting, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(TYPED)
	$(BIN)/lint-imports --no-logo --no-cache

lint-files: $(VENV)/.installed-dev ## Lint templates, YAML files and GitHub workflows
	$(BIN)/djlint --lint --quiet app
	$(BIN)/yamllint --strict .github .pre-commit-config.yaml .yamllint.yaml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms $(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/zizmor --offline --quiet .github

lint-frontend: node_modules/.installed ## Lint CSS and JavaScript, and check their formatting (needs npm)
	node_modules/.bin/biome ci

format: $(VENV)/.installed-dev ## Put the sources into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

format-frontend: node_modules/.installed ## Put CSS and JavaScript into shape (needs npm)
	node_modules/.bin/biome check --write

bench: $(VENV)/.installed-dev ## Measure speed, memory and size; prints a table
	$(BIN)/python bench/run.py

screenshots: $(VENV)/.installed-dev ## Take pictures of every page into docs/screenshots
	$(BIN)/python scripts/screenshots.py

translations: $(VENV)/.installed-dev ## Bring the texts of pages, messages and plugins into the catalogues of all languages
	$(BIN)/python scripts/translations.py update

dist: $(VENV)/.installed-dev ## Build sdist and wheel of duplistatus and of the bundled plugins into dist/
	for project in . plugins/webhook plugins/apprise; do \
		$(BIN)/python -m build --no-isolation --outdir dist $$project || exit 1; \
	done

vendor: node_modules/.installed ## Copy the browser libraries of package.json into app/static/vendor (needs npm)
	node scripts/vendor.js

clean: ## Remove the virtual environment and caches; data stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage* *.egg-info

node_modules/.installed: package.json package-lock.json
	npm ci --silent
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("duplistatus needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt setup.cfg setup.py pyproject.toml $(wildcard plugins/*/pyproject.toml) | $(BIN)/python
	$(BIN)/python -m pip install --quiet -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	@touch $@
