# `make check` is what CI runs, in the same order. Every target is a command that anyone may run by itself.
PYTHON ?= python3
VENV := target/venv
.PHONY: bench bench-short check optimised optimised-ahead format lint test races faults-short faults python browser crowd differential disk random hardening timing residue leaks instructions docs licences demo scale scale-full steps mutants fuzz-database upgrade stored-vault

check: format lint test crowd optimised-ahead races faults-short python browser differential disk random hardening optimised timing residue leaks instructions bench-short docs licences systemd demo

# The optimised builds of the tests and benchmarks below, which take minutes.
optimised:
	cargo test --locked --release --lib --test it --no-run
	cargo build --locked --release --bin signvault
	cargo bench --locked --bench instructions --bench compare --no-run

# The same beside what needs one processor, or waits for a disk or a clock. `check` asks for them again before it measures:
# that waits for cargo's lock, and says what went wrong here.
optimised-ahead:
	mkdir -p target
	nice -n 19 timeout 20m $(MAKE) optimised >target/optimised.log 2>&1 &

format:
	cargo fmt --check

lint:
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --lib --tests --features model-check -- -D warnings

# The README's second command.
test:
	cargo test --locked

# Every order of events that a model checker comes up with: does anything sign after what ended it?
races:
	cargo test --locked --lib --features model-check vault::tests::races

# Killed, out of space, without power, with a clock that jumps: does what was acknowledged hold? Each program, briefly:
# four minutes on two cores. Needs root, strace and a C compiler. `cargo test --test faults -- --list` says what
# there is.
faults-short:
	cargo test --locked --test faults -- --short

# The same in full, an hour: a thousand kills, every call that can fail, hundreds of power cuts.
faults:
	cargo test --locked --test faults -- --full

# What needs Python and curl: ccxt and python-okx through a daemon, the README's scripts, the reference reader.
python: $(VENV)/ready
	PYTHON=$(CURDIR)/$(VENV)/bin/python cargo test --locked --test it -- --ignored clients:: readme:: reference::

$(VENV)/ready: tests/clients/requirements.txt tests/reference/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check $(foreach file,$^,-r $(file))
	touch $@

# Does a page in a real browser get anything out of a daemon? Needs Chromium, which needs no display.
browser:
	cargo test --locked --test it -- --ignored browser::

# Ten thousand connections of one user, and a bot of another that must not notice. Needs root and `ulimit -n`.
crowd:
	cargo test --locked --test it -- --ignored --nocapture crowd::

# Do Python and Node read the requests that a recipe accepts as the recipe does?
differential:
	PYTHON=$(PYTHON) cargo test --locked --test it -- --ignored differential::

# A disk that hangs, fails to sync or fills up under a running daemon. As root: it traces the daemon and mounts a small
# disk in memory, below a temporary directory.
disk:
	cargo test --locked --test it -- --ignored --test-threads=1 faults::

# What if the kernel gives no random numbers? Needs strace, and the right to trace: root, or a machine that lets a user.
random:
	cargo test --locked --test it -- --ignored random::

# What if the kernel refuses an item of the hardening? Needs strace, and the right to trace.
hardening:
	cargo test --locked --test it -- --ignored service::

# Does the time of a refused token tell why it was refused? A measurement, so with the optimiser and by itself.
timing:
	cargo test --locked --release --test it -- --ignored --nocapture timing::

# Does an optimised build leave keys behind on the stack or the heap?
residue:
	cargo test --locked --release --lib whole_process

# What is left of secrets in a running daemon's memory, in the dumps that anyone can make of it, and on its disk? As root;
# needs gdb, strace and e2fsprogs. RESIDUE_SIGNATURES says how many signatures come before a look.
leaks:
	cargo test --locked --release --test it -- --ignored --test-threads=1 residue::

# Does a signature take more instructions than it may, and does the count of a refused token tell why it is refused? Counted
# by valgrind, so the same on a busy machine. Five seconds
# after the build.
instructions:
	cargo bench --locked --bench instructions

docs:
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps

# The daemon beside its peers: one table, on the terminal and in target/bench/table.md and table.json, and whether the
# promises about speed are kept. A quarter of an hour on a machine that does nothing else. What to install: .ci/run.
# `cargo bench --bench compare -- help` has parts of it.
bench: target/bench/signvault target/bench/signvault-variants target/bench/npm/ready $(VENV)/peers
	cargo bench --locked --bench compare -- all

# What CI runs of it: is a signature twice as slow as it was, beside a bare server in the same minute?
bench-short: target/bench/signvault-release
	cargo bench --locked --bench compare -- short --binary target/bench/signvault-release

# Copies, because building the benchmark puts another build of the program in its place.
.PHONY: target/bench/signvault target/bench/signvault-variants target/bench/signvault-release
target/bench/signvault:
	mkdir -p target/bench
	cargo build --locked --profile dist --bin signvault
	cp --remove-destination target/dist/signvault $@

target/bench/signvault-variants:
	mkdir -p target/bench
	cargo build --locked --profile dist --bin signvault --features bench-variants
	cp --remove-destination target/dist/signvault $@

target/bench/signvault-release:
	mkdir -p target/bench
	cargo build --locked --release --bin signvault
	cp --remove-destination target/release/signvault $@

PEERS := benches/compare/peers
target/bench/npm/ready: $(PEERS)/package.json $(PEERS)/package-lock.json
	mkdir -p target/bench/npm
	cp $^ target/bench/npm
	cd target/bench/npm && npm ci --no-audit --no-fund --silent
	touch $@

$(VENV)/peers: $(PEERS)/requirements.txt $(VENV)/ready
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

# Licences, bans and sources of every dependency. Advisories need the network: `cargo deny check advisories`.
licences:
	cargo deny --locked check licenses bans sources

# The README's first command.
demo:
	cargo run --locked --release -- demo

# Opens FUZZ_ROUNDS database files that nobody made, each a mutation of a real one: refused, or the same content. The usual
# run opens three thousand. FUZZ_SEED says where to begin; a failure names the seed of its file.
fuzz-database:
	cargo test --locked --lib -- --ignored --nocapture vault::tests::tampering::fuzz

# Signatures, unlocks and memory against credentials, bots, ledger rows and idle connections, and how soon a daemon answers:
# tables in target/scale. Minutes, and a GiB of temporary space; a measurement, so not part of `check`.
scale:
	cargo bench --locked --bench scale

# The same with 100 000 credentials, 100 000 bots and ten million rows: much longer, and 12 GiB of temporary space.
scale-full:
	cargo bench --locked --bench scale -- --full

# How long does each step of a signature take? A minute; fails when judging, opening and signing take more than five
# microseconds together. A measurement of time, so by itself, and not part of `check`.
steps:
	cargo bench --locked --bench steps

# Would a test notice? Changes the judge and the reader of asks in 1300 ways and expects a failing test each time; what
# is left out, and why: .cargo/mutants.toml. An hour on two cores, so not part of `check`. Installs nothing: it needs
# `cargo install --locked cargo-mutants`, and leaves its report in target/mutants.
mutants:
	CARGO_PROFILE_DEV_DEBUG=0 PROPTEST_MAX_SHRINK_ITERS=0 cargo mutants --jobs 2

# Kills a migration of the database and a rotation of the vault key at each of their writes, and gives a hundred thousand
# records another key. Needs strace; three minutes.
upgrade:
	cargo test --locked --lib -- --ignored --nocapture migration::t92 rotation::a_

# Makes tests/databases of the present version anew: before the release that changes the format, and never after it.
stored-vault:
	cargo test --locked --test it -- --ignored --exact databases::make_the_vault_of_this_version

.PHONY: deb systemd

# The Debian package, in target/debian/dist. The same commit and toolchain make the same file again. Needs
# `cargo install --locked cargo-deb`.
deb:
	packaging/deb.sh dist

# The package, installed, upgraded and removed, and its service, on a real systemd in namespaces of its own: who is killed,
# hangs or reboots, signs again. Two minutes after the build. As root; tests/systemd/run.py says what it needs.
systemd:
	$(PYTHON) tests/systemd/run.py --deb "$$(packaging/deb.sh dev)"
