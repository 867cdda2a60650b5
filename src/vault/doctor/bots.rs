//! Each bot: whether it was ever there, whether its token still works, and whether its policy allows what it never does.

use crate::policy::READ_ONLY;
use crate::types::clock::UnixMs;
use crate::types::endpoint::Grant;
use crate::vault::deadline::{DAY_MS, Deadline, Of};
use crate::vault::doctor::credentials::{was_seen, works};
use crate::vault::doctor::past::{Deeds, End, Past, WINDOW_DAYS};
use crate::vault::doctor::{day, how_far, or_well};
use crate::vault::state::{BotEntry, PolicyEntry, Unlocked};
use crate::wire::doctor::Finding;

/// More endpoints than this are only counted.
const MOST_ENDPOINTS: usize = 8;

pub(super) fn findings(unlocked: &Unlocked, past: &Past, now: UnixMs) -> Vec<Finding> {
    let mut all: Vec<&BotEntry> = unlocked.bots.iter().map(|(_, entry)| entry).collect();
    all.sort_by(|one, other| one.bot.name.cmp(&other.bot.name));
    let count = all.len();
    let each = || all.iter().copied();
    let working = || each().filter(|entry| works(entry, now));
    let revoked = or_well(each().filter(|entry| entry.bot.revoked).map(revoked), "bot.revoked", || {
        "no bot is kept that was revoked".to_owned()
    });
    let expiring = each().filter(|entry| !entry.bot.revoked).filter_map(|entry| expiring(entry, now));
    let expiring = or_well(expiring, "bot.expiry", || "no token expires soon".to_owned());
    let without = working().filter(|entry| !has_credential(unlocked, entry)).map(without_credential);
    let without = or_well(without, "bot.credential", || format!("each of {count} bots has a key to ask for"));
    let unseen = working().filter_map(|entry| unseen(entry, past, now));
    let unseen = or_well(unseen, "bot.seen", || format!("each of {count} bots was seen"));
    let window = now.plus_ms(-WINDOW_DAYS * DAY_MS);
    let judged: Vec<_> = working()
        .map(|entry| (unlocked.policy_of(&entry.bot), entry))
        .filter(|(policy, entry)| is_ripe(policy, entry, past, window))
        .collect();
    let wide = match judged.is_empty() || past.reaches(window) {
        true => {
            or_well(judged.iter().filter_map(|(policy, entry)| too_wide(policy, entry, past)), "bot.policy", || {
                format!("no policy allows what its bot has not used in {WINDOW_DAYS} days, as far as those are over")
            })
        }
        false => vec![Finding::skip(
            "bot.policy",
            format!(
                "what bots use of their policies is not known for {WINDOW_DAYS} days: rows were looked at {}",
                how_far(past)
            ),
            "`signvault audit list --bot NAME` looks further",
        )],
    };
    [revoked, expiring, without, unseen, wide].concat()
}

fn revoked(entry: &BotEntry) -> Finding {
    let name = &entry.bot.name;
    Finding::warn(
        "bot.revoked",
        format!("{name}: revoked, and still kept"),
        format!("`signvault bot remove {name}`; a rotation by mistake would bring it back"),
    )
}

fn expiring(entry: &BotEntry, now: UnixMs) -> Option<Finding> {
    let bot = &entry.bot;
    let deadline = Deadline { of: Of::Token, name: bot.name.clone(), ends: bot.expires? };
    let what = format!("{}: {}", bot.name, deadline.words(now));
    match deadline.is_near(now) {
        false => None,
        true if deadline.is_over(now) => Some(Finding::fail("bot.expiry", what, deadline.help())),
        true => Some(Finding::warn("bot.expiry", what, deadline.help())),
    }
}

fn has_credential(unlocked: &Unlocked, entry: &BotEntry) -> bool {
    entry.bot.credentials.iter().any(|id| unlocked.credentials.contains_key(id))
}

fn without_credential(entry: &BotEntry) -> Finding {
    let name = &entry.bot.name;
    Finding::warn(
        "bot.credential",
        format!("{name}: every key that it could use is gone"),
        format!("`signvault bot remove {name}`, and `bot add` again with a key that is there"),
    )
}

fn unseen(entry: &BotEntry, past: &Past, now: UnixMs) -> Option<Finding> {
    if was_seen(entry, past) {
        return None;
    }
    let (name, created) = (&entry.bot.name, entry.bot.created);
    let window = now.plus_ms(-WINDOW_DAYS * DAY_MS);
    let what = match past.end {
        _ if created >= window && past.reaches(created) => {
            format!("{name}: has never asked for anything since it was added on {}", day(created))
        }
        _ if past.reaches(window) => format!("{name}: has asked for nothing in {WINDOW_DAYS} days"),
        End::Late => {
            let what = format!("{name}: whether it was there is not known: rows were looked at {}", how_far(past));
            return Some(Finding::skip("bot.seen", what, format!("`signvault audit list --bot {name}` looks further")));
        }
        _ => format!("{name}: has asked for nothing {}", how_far(past)),
    };
    let help = format!("give it its token, or `signvault bot remove {name}` if nobody needs it");
    Some(Finding::warn("bot.seen", what, help))
}

/// Whether bot and policy are as old as what is looked at: before that nobody knows what the bot will need.
fn is_ripe(policy: &PolicyEntry, entry: &BotEntry, past: &Past, window: UnixMs) -> bool {
    let was_set = past.policies.get(&policy.name).is_some_and(|set| *set > window);
    let is_judged = policy.flaw.is_none() && policy.name != READ_ONLY;
    is_judged && !was_set && entry.bot.created <= window && was_seen(entry, past)
}

/// What a policy allows and its bot has not used.
fn too_wide(policy: &PolicyEntry, entry: &BotEntry, past: &Past) -> Option<Finding> {
    let name = &entry.bot.name;
    let nothing = Deeds::default();
    let unused = unused(policy, past.deeds(name, entry.bot.created).unwrap_or(&nothing))?;
    Some(Finding::warn(
        "bot.policy",
        format!("{name}: the policy {} allows what was not used in {WINDOW_DAYS} days: {unused}", policy.name),
        format!("take it out and `signvault policy set {} FILE`, unless the bot will need it", policy.name),
    ))
}

fn unused(policy: &PolicyEntry, deeds: &Deeds) -> Option<String> {
    let policy = &policy.policy;
    let grants: Vec<&str> = policy.grants.difference(&deeds.grants).map(|grant: &Grant| grant.as_str()).collect();
    let mut endpoints: Vec<&str> = match &policy.endpoints {
        Some(listed) => listed.difference(&deeds.endpoints).map(String::as_str).collect(),
        None => Vec::new(),
    };
    let more = endpoints.len().saturating_sub(MOST_ENDPOINTS);
    endpoints.truncate(MOST_ENDPOINTS);
    let mut parts: Vec<String> = grants.iter().map(|grant| format!("the grant {grant}")).collect();
    parts.extend(endpoints.iter().map(|endpoint| (*endpoint).to_owned()));
    if more > 0 {
        parts.push(format!("{more} more endpoints"));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}
