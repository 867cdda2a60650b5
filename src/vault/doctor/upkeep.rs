//! The ways to unlock, and backups.

use crate::crypto::slot::{Slot, SlotKind};
use crate::types::clock::UnixMs;
use crate::vault::deadline::DAY_MS;
use crate::vault::doctor::past::{End, Past};
use crate::vault::doctor::{day, how_far, or_well};
use crate::wire::doctor::Finding;

/// A backup older than this is old, if anything has changed since.
const OLD_DAYS: i64 = 30;

/// The recovery keys: the number of the slot, and when it was made.
pub(super) fn recovery_keys(slots: &[Slot]) -> Vec<(u32, UnixMs)> {
    let keys = slots.iter().map(|slot| &slot.header).filter(|header| header.method.kind() == SlotKind::Recovery);
    let made = |created_s| UnixMs(i64::try_from(created_s).unwrap_or(0).saturating_mul(1000));
    keys.map(|header| (header.slot_id, made(header.created_s))).collect()
}

/// Whether there is a second way to unlock, and whether recovery keys are known to open the vault.
pub(super) fn slots(slots: &[Slot], past: &Past) -> Vec<Finding> {
    let spare = match slots {
        [_] => Finding::warn(
            "slot.spare",
            "there is only one way to unlock: if it is lost, so is every key in the vault",
            "make another with `signvault slot add recovery`, and keep it elsewhere",
        ),
        _ => Finding::ok("slot.spare", format!("there are {} ways to unlock", slots.len())),
    };
    let keys = recovery_keys(slots);
    let untried = keys.iter().filter_map(|(slot, made)| untried(*slot, *made, past));
    let tried = or_well(untried, "slot.recovery", || match keys.len() {
        0 => "there is no recovery key".to_owned(),
        count => format!("each of {count} recovery keys has opened the vault"),
    });
    [vec![spare], tried].concat()
}

/// A recovery key counts as tried once a row says that its slot opened the vault.
fn untried(slot: u32, made: UnixMs, past: &Past) -> Option<Finding> {
    if past.has_opened(slot, made) {
        return None;
    }
    let help = "try it with `signvault unlock --recovery`, also while the vault is unlocked: then it is known that what was \
                written down is right";
    Some(match past.reaches(made) {
        true => {
            Finding::warn("slot.recovery", format!("the recovery key of slot {slot} has never opened the vault"), help)
        }
        false => Finding::skip(
            "slot.recovery",
            format!(
                "whether the recovery key of slot {slot} was ever tried is not known: rows were looked at {}",
                how_far(past)
            ),
            help,
        ),
    })
}

/// Whether there is a backup that knows what there is now.
pub(super) fn backup(past: &Past, now: UnixMs) -> Finding {
    let help =
        "make one with `signvault backup FILE`, keep it elsewhere, and try it with `signvault backup verify FILE`";
    let days = |moment: UnixMs| now.0.saturating_sub(moment.0).div_euclid(DAY_MS);
    match (past.backup, past.changed) {
        (Some(made), Some(_)) if days(made) > OLD_DAYS => Finding::warn(
            "backup.age",
            format!("the last backup is {} days old, and the vault has changed since", days(made)),
            help,
        ),
        (Some(made), _) => Finding::ok("backup.age", format!("the last backup was made on {}", day(made))),
        (None, _) if past.end == End::First => Finding::warn("backup.age", "no backup was ever made", help),
        (None, Some(changed)) if days(changed) > OLD_DAYS || past.reaches(now.plus_ms(-OLD_DAYS * DAY_MS)) => {
            Finding::warn("backup.age", format!("no backup was made {}", how_far(past)), help)
        }
        (None, _) => Finding::skip(
            "backup.age",
            format!("whether there is a backup is not known: rows were looked at {}", how_far(past)),
            help,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::doctor::Level;

    #[test]
    fn a_backup_is_old_only_when_something_has_changed_since() {
        let (now, day) = (UnixMs(1000 * DAY_MS), |days: i64| Some(UnixMs((1000 - days) * DAY_MS)));
        let judged = |backup, changed, since, end| {
            let past = Past { backup, changed, since, end, ..Past::default() };
            let Finding { level, what, .. } = super::backup(&past, now);
            (level, what)
        };
        let enough = End::Enough;
        assert_eq!(judged(day(31), None, day(31), enough).0, Level::Ok);
        assert_eq!(judged(day(30), day(1), day(30), enough).0, Level::Ok);
        let old = judged(day(31), day(30), day(31), enough);
        assert_eq!(old, (Level::Warn, "the last backup is 31 days old, and the vault has changed since".to_owned()));
        assert_eq!(judged(None, day(2), day(40), End::First).1, "no backup was ever made");
        assert_eq!(judged(None, day(2), day(40), End::Pruned).0, Level::Warn);
        assert_eq!(judged(None, day(2), day(3), End::Late).0, Level::Skip);
        assert_eq!(judged(None, None, day(3), End::Late).0, Level::Skip);
    }
}
