//! How a vault behaves when there is much in it: signatures, unlocks and memory against the number of credentials, bots,
//! ledger rows and idle connections; and how soon a daemon answers. A program, not a benchmark of criterion.
//!
//! ```sh
//! make scale         # minutes
//! make scale-full    # 100 000 credentials and bots, ten million rows: 6 GiB of temporary space
//! cargo bench --bench scale -- start memory    # some tables only
//! ```
//! Vaults are built through the store, in large transactions, and opened through the real `Vault` or by the real daemon.
//! Whatever is compared is measured in turn, round by round, and compared within its round, so that what else the machine
//! does meets both. `SCALE_DIR` names a directory where vaults stay for the next run.

#![allow(clippy::unwrap_used, reason = "a measurement that can't go on says so by panicking")]
#![allow(clippy::print_stdout, reason = "the tables are what this is for")]

mod inside;
#[path = "../compare/machine.rs"]
#[allow(dead_code, reason = "shared with the comparison, which needs more of it")]
mod machine;
mod outside;
mod report;
mod vaults;

use crate::report::Report;
use crate::vaults::Size;
use signvault::secret::ZeroizingAllocator;
use std::path::Path;

/// What a step came to; the text says what failed.
pub type Outcome<T> = Result<T, String>;

/// The daemon's, or memory would behave otherwise.
#[global_allocator]
static ALLOCATOR: ZeroizingAllocator = ZeroizingAllocator;

const SIZES: [Size; 5] = [
    Size::signed(10, 10, 0),
    Size::signed(1000, 1000, 0),
    Size::signed(100_000, 100_000, 0),
    Size::signed(10, 10, 1_000_000),
    Size::signed(10_000, 10_000, 1_000_000),
];

const FULL_SIZES: [Size; 4] = [
    Size::signed(10, 10, 0),
    Size::signed(100_000, 100_000, 0),
    Size::signed(10, 10, 10_000_000),
    Size::signed(100_000, 100_000, 10_000_000),
];

const MEMORY_SIZES: [Size; 4] = [
    Size::signed(10, 10, 0),
    Size::signed(1000, 10, 0),
    Size::signed(1000, 1000, 0),
    Size::signed(10_000, 10_000, 100_000),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let full = arguments.iter().any(|argument| argument == "--full");
    let some: Vec<&str> = arguments.iter().map(String::as_str).filter(|argument| *argument != "--full").collect();
    let wanted = |name: &str| some.is_empty() || some.contains(&name);
    let scratch = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/scale");
    let mut report = Report::default();
    if wanted("start") {
        outside::start(&mut report, &scratch);
    }
    if wanted("unlock") {
        inside::unlock_against_hash(&mut report);
    }
    if wanted("memory") {
        outside::memory(&mut report, if full { &FULL_SIZES } else { &MEMORY_SIZES }, 100_000);
    }
    if wanted("idle") {
        outside::idle(&mut report, if full { &[1, 10, 100, 1000, 4000, 9900] } else { &[1, 100, 1000] });
    }
    if wanted("growth") {
        inside::growth(&mut report, if full { &FULL_SIZES } else { &SIZES });
    }
    if wanted("served") {
        let sizes: &[Size] = if full { &FULL_SIZES } else { &SIZES };
        outside::growth(&mut report, &[sizes[0], sizes[sizes.len() - 1]]);
    }
    report.write(&scratch, if full { "full" } else { "scale" });
}
