# `make check` is what CI runs, in the same order.
PYTHON ?= python3
VENV := target/venv
.PHONY: check format lint test docs licences clients reference demo crash python

check: format lint test python docs licences demo

format:
	cargo fmt --check

lint:
	cargo clippy --locked --all-targets -- -D warnings

test:
	cargo test --locked

docs:
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

licences:
	cargo deny --locked check licenses bans sources

demo:
	cargo run --locked --release -- demo

# What needs Python: real clients against the daemon, and the reference reader. Skipped by `make test`, never by this.
python: $(VENV)/ready
	PYTHON=$(CURDIR)/$(VENV)/bin/python cargo test --locked --test it -- --ignored needs_python --include-ignored

$(VENV)/ready: tests/clients/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r tests/clients/requirements.txt
	touch $@
