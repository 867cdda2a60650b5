# `make check` is what CI runs, in the same order. Every target is a command that anyone may run by itself.
PYTHON ?= python3
VENV := target/venv
.PHONY: check format lint test python differential timing residue docs licences demo mutants

check: format lint test python differential timing residue docs licences demo

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

# Do Python and Node read the requests that a recipe accepts as the recipe does?
differential:
	PYTHON=$(PYTHON) cargo test --locked --test it -- --ignored differential::

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

# Would a test notice? Changes the judge and the reader of asks in 1300 ways and expects a failing test each time; what
# is left out, and why: .cargo/mutants.toml. An hour on two cores, so not part of `check`. Installs nothing: it needs
# `cargo install --locked cargo-mutants`, and leaves its report in target/mutants.
mutants:
	CARGO_PROFILE_DEV_DEBUG=0 PROPTEST_MAX_SHRINK_ITERS=0 cargo mutants --jobs 2
