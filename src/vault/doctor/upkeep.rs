//! The ways to unlock, and backups.

use crate::crypto::slot::{Slot, SlotKind};
use crate::types::clock::UnixMs;
use crate::vault::annals::Annals;
use crate::vault::deadline::DAY_MS;
use crate::vault::doctor::{day, or_well};
use crate::wire::doctor::Finding;

/// A backup older than this is old, if anything has changed since.
const OLD_DAYS: i64 = 30;

/// What is known of the past, and from when on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    /// What rows said.
    pub annals: &'a Annals,
    /// Every row from this moment on was seen; all of them when none was ever taken out.
    pub since: Option<UnixMs>,
    /// Whether older rows are still being verified.
    pub is_pending: bool,
}

impl Known<'_> {
    /// Whether what is not known did not happen since this moment.
    fn reaches(&self, moment: UnixMs) -> bool {
        !self.is_pending && self.since.is_none_or(|since| since <= moment)
    }

    /// Why it is not known.
    fn why_not(&self) -> String {
        match (self.is_pending, self.since) {
            (false, Some(since)) => format!("rows from before {} were taken out", day(since)),
            _ => "older rows are still being verified".to_owned(),
        }
    }
}

/// Whether there is a second way to unlock, and whether recovery keys are known to open the vault.
pub(super) fn slots(slots: &[Slot], known: Known<'_>) -> Vec<Finding> {
    let spare = match slots {
        [_] => Finding::warn(
            "slot.spare",
            "there is only one way to unlock: if it is lost, so is every key in the vault",
            "make another with `signvault slot add recovery`, and keep it elsewhere",
        ),
        _ => Finding::ok("slot.spare", format!("there are {} ways to unlock", slots.len())),
    };
    let keys: Vec<&Slot> = slots.iter().filter(|slot| slot.header.method.kind() == SlotKind::Recovery).collect();
    let tried = or_well(keys.iter().filter_map(|slot| untried(slot, known)), "slot.recovery", || match keys.len() {
        0 => "there is no recovery key".to_owned(),
        count => format!("each of {count} recovery keys has opened the vault"),
    });
    [vec![spare], tried].concat()
}

/// A recovery key counts as tried once a row says that its slot opened the vault.
fn untried(slot: &Slot, known: Known<'_>) -> Option<Finding> {
    let id = slot.header.slot_id;
    let made = UnixMs(i64::try_from(slot.header.created_s).unwrap_or(0).saturating_mul(1000));
    if known.annals.has_opened(id, made) {
        return None;
    }
    let help = "try it with `signvault unlock --recovery`, also while the vault is unlocked: then it is known that what was \
                written down is right";
    Some(match known.reaches(made) {
        true => {
            Finding::warn("slot.recovery", format!("the recovery key of slot {id} has never opened the vault"), help)
        }
        false => {
            let what =
                format!("whether the recovery key of slot {id} was ever tried is not known: {}", known.why_not());
            Finding::skip("slot.recovery", what, help)
        }
    })
}

/// Whether there is a backup that knows what there is now.
pub(super) fn backup(known: Known<'_>, now: UnixMs) -> Finding {
    let help =
        "make one with `signvault backup FILE`, keep it elsewhere, and try it with `signvault backup verify FILE`";
    let Annals { backed_up, changed, .. } = known.annals;
    let Some(made) = *backed_up else {
        return match (known.is_pending, known.since) {
            (true, _) => Finding::skip(
                "backup.age",
                format!("whether there is a backup is not known: {}", known.why_not()),
                help,
            ),
            (false, None) => Finding::warn("backup.age", "no backup was ever made", help),
            (false, Some(since)) => {
                Finding::warn("backup.age", format!("no backup was made since {}", day(since)), help)
            }
        };
    };
    let days = now.0.saturating_sub(made.0).div_euclid(DAY_MS);
    match changed.is_some_and(|changed| changed > made) && days > OLD_DAYS {
        true => {
            let what = format!("the last backup is {days} days old, and the vault has changed since");
            Finding::warn("backup.age", what, help)
        }
        false => Finding::ok("backup.age", format!("the last backup was made on {}", day(made))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::doctor::Level;

    #[test]
    fn a_backup_is_old_only_when_something_has_changed_since() {
        let (now, day) = (UnixMs(1000 * DAY_MS), |days: i64| Some(UnixMs((1000 - days) * DAY_MS)));
        let judged = |backed_up, changed, since, is_pending| {
            let annals = Annals { backed_up, changed, ..Annals::default() };
            let Finding { level, what, .. } = backup(Known { annals: &annals, since, is_pending }, now);
            (level, what)
        };
        assert_eq!(judged(day(31), day(40), None, false).0, Level::Ok);
        assert_eq!(judged(day(30), day(1), None, false).0, Level::Ok);
        let old = "the last backup is 31 days old, and the vault has changed since".to_owned();
        assert_eq!(judged(day(31), day(30), None, false), (Level::Warn, old));
        assert_eq!(judged(None, day(2), None, false).1, "no backup was ever made");
        assert_eq!(
            judged(None, day(2), day(8), false),
            (Level::Warn, "no backup was made since 1972-09-19".to_owned())
        );
        assert_eq!(judged(None, day(2), None, true).0, Level::Skip);
    }
}
