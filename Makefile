# `make check` is what CI runs, in the same order. Every target is a command that anyone may run by itself.
PYTHON ?= python3
VENV := target/venv
.PHONY: check format lint test python timing residue docs licences demo

check: format lint test python timing residue docs licences demo

format:
	cargo fmt --check

lint:
	cargo clippy --locked --all-targets -- -D warnings

# The README's second command.
test:
	cargo test --locked

# What needs Python and curl: ccxt and python-okx through a daemon, the README's scripts, the reference reader.
python: $(VENV)/ready
	PYTHON=$(CURDIR)/$(VENV)/bin/python cargo test --locked --test it -- --ignored clients:: readme:: reference::

$(VENV)/ready: tests/clients/requirements.txt tests/reference/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check $(foreach file,$^,-r $(file))
	touch $@

# Does the time of a refused token tell why it was refused? A measurement, so with the optimiser and by itself.
timing:
	cargo test --locked --release --test it -- --ignored --nocapture timing::

# Does an optimised build leave keys behind on the stack or the heap?
residue:
	cargo test --locked --release --lib whole_process

docs:
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps

# Licences, bans and sources of every dependency. Advisories need the network: `cargo deny check advisories`.
licences:
	cargo deny --locked check licenses bans sources

# The README's first command.
demo:
	cargo run --locked --release -- demo
