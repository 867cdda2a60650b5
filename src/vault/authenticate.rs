//! Where a token is checked: one answer for every kind of failure, after the same work.

use crate::crypto::mac;
use crate::types::clock::UnixMs;
use crate::types::id::Id;
use crate::vault::Vault;
use crate::vault::bot::Bot;
use crate::vault::state::BotEntry;
use crate::vault::state::State;
use crate::vault::token::{TokenHash, parse_token};
use std::hint::black_box;

/// Why a caller is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotLetIn {
    /// The vault is locked: said before a token is looked at, so it says nothing about any.
    #[error("the vault is locked")]
    Locked,
    /// No token, no such token, a revoked or expired one, or the wrong user.
    #[error("the token was not accepted")]
    Failed,
}

/// A bot that was let in, and by which token: an ask that is judged after the token was replaced must not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The bot.
    pub bot: Id,
    /// The hash of its token.
    pub token: TokenHash,
}

/// Checks a bearer token. `uid` is the peer's user id on a Unix socket, none on TCP, where a bot that is bound to user
/// ids is refused.
///
/// A well-formed token costs the same work whatever is wrong with it: some bot's hash is always compared, and nothing
/// is asked about it before.
///
/// # Errors
/// [`NotLetIn`].
pub fn authenticate(vault: &Vault, token: Option<&str>, uid: Option<u32>) -> Result<Caller, NotLetIn> {
    let now = vault.setup.clock.now().wall;
    let mut state = vault.state();
    let State::Unlocked(unlocked) = &mut *state else { return Err(NotLetIn::Locked) };
    let (id, hash) = token.and_then(parse_token).ok_or(NotLetIn::Failed)?;
    let (found, entry) = unlocked.bots.nearest(&id).ok_or(NotLetIn::Failed)?;
    // Each is worked out whatever the others say, and so is what they say together: the optimiser may make neither the
    // steps nor the last question into branches that stop early.
    let known = black_box(mac::equal(found.as_bytes(), id.as_bytes()));
    let same = black_box(mac::equal(&entry.bot.token_hash, &hash));
    let may = black_box(entry.rotating.is_none() & may_come_in(&entry.bot, uid, now));
    if !black_box(known & same & may) {
        return Err(NotLetIn::Failed);
    }
    entry.last_seen = Some(now);
    Ok(Caller { bot: id, token: hash })
}

impl BotEntry {
    /// Whether the bot that was let in still is: its token is neither revoked nor replaced, nor being replaced.
    pub fn lets_in(&self, caller: &Caller) -> bool {
        !self.bot.revoked && self.rotating.is_none() && mac::equal(&self.bot.token_hash, &caller.token)
    }
}

/// Whether a bot's token works at all, now, for this peer.
pub fn may_come_in(bot: &Bot, uid: Option<u32>, now: UnixMs) -> bool {
    let uid_fits = bot.uids.is_empty() || uid.is_some_and(|uid| bot.uids.contains(&uid));
    let in_time = now < bot.expires.unwrap_or(UnixMs(i64::MAX));
    !bot.revoked & uid_fits & in_time
}
