//! What only the daemon can tell doctor: the state of the vault, its clock and its ledger, and, once unlocked, what is to
//! be said about slots, backups, credentials, bots and policies.
//!
//! Each check gives one line when all is well, or a line for each thing that is not. Nothing here waits under the state
//! lock; the ledger is read before it is taken. What runs without a daemon is the command's.

mod bots;
mod credentials;
pub(super) mod past;
mod upkeep;

use crate::store::file::Paths;
use crate::store::ledger::Ledger;
use crate::types::clock::UnixMs;
use crate::types::mode::Mode;
use crate::vault::annals::time_of;
use crate::vault::doctor::past::{End, Past};
use crate::vault::doctor::upkeep::Known;
use crate::vault::state::{State, Unlocked};
use crate::vault::{AdminError, Vault};
use crate::wire::doctor::{Diagnosis, Finding};

/// More lines than this of one check are only counted.
const MOST_OF_ONE: usize = 50;
/// With less than this the disk of the anchor has no room for it.
const ANCHOR_BYTES: u64 = 1024 * 1024;
/// What a disk should have where nothing is configured.
const USUAL_LOW_BYTES: u64 = 64 * 1024 * 1024;

impl Vault {
    /// Looks at everything that the daemon knows of. Reads the ledger's newest rows for about a second at most.
    ///
    /// # Errors
    /// The disk's refusal. A locked vault is no error: then there is less to say.
    pub fn doctor(&self) -> Result<Diagnosis, AdminError> {
        let mut findings = disk(self.paths(), self.care().low_space_bytes);
        findings.push(self.synchronised());
        let Ok(ledger) = self.ledger() else {
            findings.extend(self.about_a_locked_vault());
            return Ok(Diagnosis { findings, rows: 0, since: None });
        };
        let slots = self.parsed_slots()?;
        let past = Past::read(&ledger, &*self.setup.clock)?;
        let first_kept = first_kept(&ledger)?;
        let now = self.setup.clock.now();
        let told = match &mut *self.state() {
            State::Locked | State::Closing(_) => None,
            State::Unlocked(unlocked) => {
                let offset_ms = (!unlocked.clock_guard.is_sane(now)).then(|| unlocked.clock_guard.offset_ms(now));
                let is_pending = unlocked.backlog.is_some();
                let known = Known { annals: &unlocked.annals, since: first_kept, is_pending };
                let mut told = upkeep::slots(&slots, known);
                told.push(upkeep::backup(known, now.wall));
                told.extend(about_memory(unlocked, &past, now.wall));
                Some((offset_ms, told))
            }
        };
        let Some((offset_ms, told)) = told else { return Err(AdminError::Locked) };
        findings.push(Finding::ok("vault.state", "the vault is unlocked"));
        findings.push(clock(offset_ms));
        findings.push(jumps(&past));
        findings.push(match ledger.trouble() {
            None => Finding::ok("ledger.write", "the ledger takes rows"),
            Some(trouble) => Finding::fail("ledger.write", trouble, "see to the disk that holds the state directory"),
        });
        findings.extend(told);
        Ok(Diagnosis { findings, rows: past.rows, since: past.since.map(|moment| moment.to_string()) })
    }

    fn about_a_locked_vault(&self) -> Vec<Finding> {
        let state = match self.locked_because() {
            Some(because) => Finding::fail(
                "vault.state",
                format!("the vault locked itself: {because}"),
                "keep a copy of the files, then see what `signvault unlock` says; a backup restores what was",
            ),
            None if !self.is_initialized() => {
                Finding::warn("vault.state", "there is no vault yet", "make one with: signvault init")
            }
            None => Finding::warn(
                "vault.state",
                "the vault is locked: bots are answered 423",
                "unlock it with: signvault unlock",
            ),
        };
        let mut findings = vec![state];
        findings.extend(
            self.trouble_closing().map(|trouble| {
                Finding::fail("ledger.write", trouble, "see to the disk that holds the state directory")
            }),
        );
        findings.push(Finding::skip(
            "vault.contents",
            "slots, backups, credentials, bots and policies can't be looked at while the vault is locked",
            "unlock it and run this again",
        ));
        findings
    }

    fn synchronised(&self) -> Finding {
        match self.setup.clock.is_synchronised() {
            true => Finding::ok("clock.synchronised", "the kernel says that something keeps the clock right"),
            false => Finding::warn(
                "clock.synchronised",
                "the kernel does not know of anything that keeps the clock right",
                "run systemd-timesyncd or chrony: exchanges refuse a signature whose time is off",
            ),
        }
    }
}

/// When the first row was written that is kept, where those before it were taken out.
fn first_kept(ledger: &Ledger) -> Result<Option<UnixMs>, AdminError> {
    let before = ledger.standing().state.first_kept.link.seq;
    if before == 0 {
        return Ok(None);
    }
    // Without a row there is nothing from before now.
    let first = ledger.rows(before, 1)?.first().and_then(|row| time_of(&row.body));
    Ok(Some(first.unwrap_or(UnixMs(i64::MAX))))
}

/// Looks at the space on the disks of a vault's directories. Runs without a daemon.
pub fn disk(paths: &Paths, low_bytes: u64) -> Vec<Finding> {
    let free = |path| rustix::fs::statvfs(path).map(|about| about.f_bavail.saturating_mul(about.f_frsize));
    let enough = low_bytes.max(USUAL_LOW_BYTES).saturating_mul(2);
    let of_state = match free(&paths.state_dir) {
        Err(_) => Finding::skip("disk.space", "the state directory can't be looked at", "run this as its owner"),
        Ok(free) if free < low_bytes => Finding::fail(
            "disk.space",
            format!("{} MiB are left for the ledger: bots may only read and cancel", mib(free)),
            "make room on the disk that holds the state directory, or see audit.low_space_mib",
        ),
        Ok(free) if free < enough => Finding::warn(
            "disk.space",
            format!(
                "{} MiB are left for the ledger; below {} bots may only read and cancel",
                mib(free),
                mib(low_bytes)
            ),
            "make room on the disk that holds the state directory, or take out old rows with `signvault audit prune`",
        ),
        Ok(free) => Finding::ok("disk.space", format!("{} MiB are left for the ledger", mib(free))),
    };
    let of_anchor = match free(&paths.anchor_dir) {
        Err(_) => Finding::skip("disk.anchor", "the anchor directory can't be looked at", "run this as its owner"),
        Ok(free) if free < ANCHOR_BYTES => Finding::fail(
            "disk.anchor",
            "the disk of the anchor is full",
            "make room on the disk that holds the anchor directory",
        ),
        Ok(_) => Finding::ok("disk.anchor", "the anchor has room"),
    };
    vec![of_state, of_anchor]
}

fn mib(bytes: u64) -> u64 {
    bytes / (1024 * 1024)
}

fn clock(offset_ms: Option<i64>) -> Finding {
    match offset_ms {
        None => Finding::ok("clock.jump", "the wall clock goes with the boot clock"),
        Some(offset_ms) => Finding::fail(
            "clock.jump",
            format!("the wall clock is {offset_ms} ms from where the boot clock says it should be: nothing is signed"),
            "set it right, or accept it as it is with: signvault unlock --accept-clock",
        ),
    }
}

fn jumps(past: &Past) -> Finding {
    match past.clock_jumps {
        0 => Finding::ok("clock.jumps", format!("no row of the last {} days tells of a jump", past::WINDOW_DAYS)),
        jumps => Finding::warn(
            "clock.jumps",
            format!("{jumps} rows of the last {} days tell of a wall clock that jumped", past::WINDOW_DAYS),
            "see what sets the clock: `signvault audit list --denied` has the times",
        ),
    }
}

fn about_memory(unlocked: &Unlocked, past: &Past, now: UnixMs) -> Vec<Finding> {
    let mut findings = vec![modes(unlocked)];
    findings.extend(credentials::findings(unlocked, past, now));
    findings.extend(bots::findings(unlocked, past, now));
    let flawed = unlocked.policies.values().filter_map(|entry| Some(entry.warning(entry.flaw.as_ref()?)));
    let flawed = flawed.map(|words| Finding::fail("policy.flaw", words, "set it again with `signvault policy set`"));
    findings.extend(or_well(flawed, "policy.flaw", || {
        format!("all of {} policies are understood", unlocked.policies.len())
    }));
    findings
}

/// The admin's brake, for everyone and for single bots. The disk's own is said with the disk.
fn modes(unlocked: &Unlocked) -> Finding {
    let slowed = unlocked.bots.iter().filter(|(_, entry)| !entry.bot.revoked && !entry.bot.mode.is_normal()).count();
    let help = "when it is over: `signvault mode normal`, with `--bot NAME` where it was set for one bot";
    match (unlocked.mode, slowed) {
        (Mode::Normal, 0) => Finding::ok("vault.mode", "the mode is normal"),
        (Mode::Normal, slowed) => {
            Finding::warn("vault.mode", format!("{slowed} bots have a mode of their own that is not normal"), help)
        }
        (mode, _) => Finding::warn("vault.mode", format!("the mode is {mode} for everyone"), help),
    }
}

/// What one check found over many things, at most so many lines of it; or that all is well.
fn or_well(found: impl Iterator<Item = Finding>, check: &str, well: impl FnOnce() -> String) -> Vec<Finding> {
    let mut found = found;
    let mut told: Vec<Finding> = found.by_ref().take(MOST_OF_ONE).collect();
    let more: Vec<_> = found.map(|finding| finding.level).collect();
    if let Some(level) = more.iter().max() {
        let what = format!("and {} more of this kind", more.len());
        told.push(Finding::new(check, *level, what, "see to those above first"));
    }
    if told.is_empty() {
        told.push(Finding::ok(check, well()));
    }
    told
}

/// A day without its time.
fn day(moment: UnixMs) -> String {
    let mut text = moment.to_string();
    text.truncate(text.find('T').unwrap_or(text.len()));
    text
}

/// How far back the ledger was looked at, in words.
fn how_far(past: &Past) -> String {
    let since = past.since.map_or_else(|| "now".to_owned(), day);
    match past.end {
        End::First => "since the vault was made".to_owned(),
        End::Pruned => format!("since {since}, where the kept rows begin"),
        End::Enough | End::Late => format!("since {since}"),
    }
}
