//! Builds for the benchmark alone, which show what the ledger costs by doing without it, or without its sharing of commits.
//! Such a build keeps no promise; it is made by the feature `bench-variants` and does not start without being told which
//! one it is to be.

/// What is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Rows are chained and not written.
    NoLedger,
    /// Every request has a commit of its own.
    CommitEach,
}

/// What the environment variable `SIGNVAULT_BENCH` says.
///
/// # Panics
/// Without one: this is no program to run otherwise.
pub fn variant() -> Variant {
    match std::env::var("SIGNVAULT_BENCH").as_deref() {
        Ok("no-ledger") => Variant::NoLedger,
        Ok("commit-each") => Variant::CommitEach,
        _ => panic!("a build for the benchmark, without a ledger that holds: SIGNVAULT_BENCH says what it leaves out"),
    }
}
