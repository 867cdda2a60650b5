//! Each credential: what its card says that is dangerous, how long it may lie idle, and whether anybody uses it.

use crate::types::clock::UnixMs;
use crate::types::credential::Environment;
use crate::types::id::Id;
use crate::vault::deadline::{DAY_MS, Deadline};
use crate::vault::doctor::or_well;
use crate::vault::doctor::past::{Past, WINDOW_DAYS};
use crate::vault::state::{BotEntry, Credential, Unlocked};
use crate::wire::doctor::Finding;
use std::collections::BTreeSet;

/// Who may use which credential, and who of them has asked for anything.
struct Users {
    /// Credentials that some working bot may use.
    named: BTreeSet<Id>,
    /// Credentials that a bot may use which was seen.
    at_hand: BTreeSet<Id>,
}

impl Users {
    fn of(unlocked: &Unlocked, past: &Past, now: UnixMs) -> Users {
        let mut users = Users { named: BTreeSet::new(), at_hand: BTreeSet::new() };
        for (_, entry) in unlocked.bots.iter().filter(|(_, entry)| works(entry, now)) {
            users.named.extend(&entry.bot.credentials);
            if was_seen(entry, past) {
                users.at_hand.extend(&entry.bot.credentials);
            }
        }
        users
    }
}

/// Whether a bot's token lets it in at all.
pub(super) fn works(entry: &BotEntry, now: UnixMs) -> bool {
    !entry.bot.revoked && entry.bot.expires.is_none_or(|expires| now < expires)
}

/// Whether a bot has asked for anything since the unlock, or in the rows that were looked at.
pub(super) fn was_seen(entry: &BotEntry, past: &Past) -> bool {
    entry.last_seen.is_some() || past.deeds(&entry.bot.name, entry.bot.created).is_some()
}

pub(super) fn findings(unlocked: &Unlocked, past: &Past, now: UnixMs) -> Vec<Finding> {
    let mut all: Vec<(&Id, &Credential)> = unlocked.credentials.iter().collect();
    all.sort_by(|(_, one), (_, other)| one.card.name.cmp(&other.card.name));
    let count = all.len();
    let each = || all.iter().map(|(id, found)| (*id, *found));
    let users = Users::of(unlocked, past, now);
    let is_pending = unlocked.backlog.is_some();
    let withdraws = or_well(each().filter_map(|(_, found)| withdraws(found)), "credential.withdraw", || {
        format!("none of {count} keys may withdraw")
    });
    let unbound = or_well(each().filter_map(|(_, found)| unbound(found)), "credential.ip", || {
        format!("each of {count} live keys is bound to an address")
    });
    let known = each().filter(|(_, found)| found.last_used.is_some() || !is_pending);
    let idle = or_well(known.filter_map(|(_, found)| idle(found, now)), "credential.idle", || {
        format!("none of {count} keys is about to be deleted for want of use")
    });
    let nobodys = each().filter(|(id, _)| !users.named.contains(id)).map(|(_, found)| nobodys(found));
    let nobodys = or_well(nobodys, "credential.bot", || format!("each of {count} keys has a bot"));
    let at_hand = each().filter(|(id, _)| users.at_hand.contains(id));
    let unused = at_hand.filter_map(|(_, found)| unused(found, is_pending, now));
    let unused = or_well(unused, "credential.use", || "every key that a bot could use was used".to_owned());
    [withdraws, unbound, idle, nobodys, unused].concat()
}

fn withdraws(found: &Credential) -> Option<Finding> {
    let card = &found.card;
    card.permissions.iter().any(|permission| permission == "withdraw").then(|| {
        Finding::warn(
            "credential.withdraw",
            format!("{}: this key may withdraw", card.name),
            format!(
                "a bot should not need that: make another key without it at {}, then `signvault credential rotate {}`",
                card.exchange, card.name
            ),
        )
    })
}

fn unbound(found: &Credential) -> Option<Finding> {
    let card = &found.card;
    (card.ips.is_empty() && card.environment == Environment::Live).then(|| {
        Finding::warn(
            "credential.ip",
            format!("{}: no address is noted that this key is bound to; unbound, it works for whoever gets it, from anywhere", card.name),
            format!("bind it at {}, then `signvault credential edit {} --ip ADDRESS`", card.exchange, card.name),
        )
    })
}

fn idle(found: &Credential, now: UnixMs) -> Option<Finding> {
    let deadline = Deadline::of_key(found).filter(|deadline| deadline.is_near(now))?;
    let what = format!("{}: {}", deadline.name, deadline.words(now));
    Some(match deadline.is_over(now) {
        true => Finding::fail("credential.idle", what, deadline.help()),
        false => Finding::warn("credential.idle", what, deadline.help()),
    })
}

fn nobodys(found: &Credential) -> Finding {
    let name = &found.card.name;
    Finding::warn(
        "credential.bot",
        format!("{name}: no bot may use this key"),
        format!(
            "a key that nobody uses is only a risk: delete it at the exchange and `signvault credential remove {name}`"
        ),
    )
}

/// A key that lies idle although its bots ask. As long as rows are still to be verified, those may say that it was used.
fn unused(found: &Credential, is_pending: bool, now: UnixMs) -> Option<Finding> {
    let name = &found.card.name;
    let what = match found.last_used {
        None if is_pending => return None,
        None => format!("{name}: this key has never signed anything"),
        Some(last) => {
            let days = now.0.saturating_sub(last.0).div_euclid(DAY_MS);
            (days >= WINDOW_DAYS).then(|| format!("{name}: this key has signed nothing for {days} days"))?
        }
    };
    let help = format!("if nobody needs it, delete it at the exchange and `signvault credential remove {name}`");
    Some(Finding::warn("credential.use", what, help))
}
