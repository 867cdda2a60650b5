//! What a bot is told about itself, and what anyone is told about the vault.

use crate::policy::limit::{Gauge, Quantity};
use crate::policy::words;
use crate::types::id::Id;
use crate::types::mode::Mode;
use crate::vault::card;
use crate::vault::state::State;
use crate::vault::{AdminError, Vault};
use crate::wire::{self, LimitUse, Whoami};
use data_encoding::HEXLOWER;

/// What `status` and `ready` ask of the vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// How often the vault has changed.
    pub state_version: u64,
    /// The last durable ledger row.
    pub audit_sequence: u64,
    /// That row's chain value, hexadecimal.
    pub audit_head: String,
    /// The row from which on all are verified.
    pub audit_verified_from: u64,
    /// Rows before it that are still to be verified.
    pub audit_backlog: u64,
    /// Credentials kept.
    pub credentials: usize,
    /// Bots whose token works.
    pub bots: usize,
    /// How much an admin and the disk allow for now.
    pub mode: Mode,
    /// What is wrong with the ledger, in words.
    pub ledger_trouble: Option<&'static str>,
    /// Whether signatures may carry the wall clock's time.
    pub clock_is_sane: bool,
}

impl Vault {
    /// A bot's own view. `None` when the bot is gone.
    ///
    /// # Errors
    /// [`AdminError::Locked`].
    pub fn whoami(&self, bot: &Id) -> Result<Option<Whoami>, AdminError> {
        let now = self.setup.clock.now();
        self.look(|unlocked| {
            let (id, bot) = (bot, &unlocked.bots.get(bot)?.bot);
            let policy = unlocked.policy_of(bot);
            let credentials = bot.credentials.iter().filter_map(|id| unlocked.credentials.get(id));
            Some(Whoami {
                bot: bot.name.clone(),
                credentials: credentials.map(card::shown).collect(),
                grants: policy.policy.grants.iter().copied().collect(),
                policy: policy.name.clone(),
                words: words::describe(&policy.policy),
                mode: bot.mode.max(unlocked.mode_for_all()),
                limits: unlocked.book.gauges(id, &policy.policy, now).into_iter().map(limit).collect(),
            })
        })
    }

    /// Where the vault stands; `None` while locked.
    pub fn position(&self) -> Option<Position> {
        let now = self.setup.clock.now();
        let (ledger, credentials, bots, mode, backlog, clock_is_sane) = match &mut *self.state() {
            State::Locked | State::Closing(_) => return None,
            State::Unlocked(unlocked) => {
                let working = unlocked.bots.iter().filter(|(_, entry)| !entry.bot.revoked).count();
                let sane = unlocked.clock_guard.is_sane(now);
                let (ledger, credentials) = (unlocked.ledger.clone(), unlocked.credentials.len());
                (ledger, credentials, working, unlocked.mode_for_all(), unlocked.backlog, sane)
            }
        };
        let standing = ledger.standing();
        Some(Position {
            state_version: standing.state.state_version,
            audit_sequence: standing.tail.seq,
            audit_head: HEXLOWER.encode(&standing.tail.head),
            credentials,
            bots,
            mode,
            audit_verified_from: backlog.map_or(standing.state.first_kept, |backlog| backlog.until).link.seq + 1,
            audit_backlog: backlog.map_or(0, |backlog| backlog.until.link.seq.saturating_sub(backlog.at.link.seq)),
            ledger_trouble: ledger.trouble(),
            clock_is_sane,
        })
    }
}

fn limit(gauge: Gauge) -> (String, LimitUse) {
    let quantity = |quantity: Quantity| match quantity {
        Quantity::Number(number) => wire::Quantity::Number(number),
        Quantity::Money(money) => wire::Quantity::Money(money.to_string()),
    };
    (gauge.name.to_owned(), LimitUse { used: quantity(gauge.used), max: quantity(gauge.max), window_s: gauge.window_s })
}
