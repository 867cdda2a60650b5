//! Requests in a second: the only limit that is counted before anything is read, on a clock that nobody can set.

use crate::types::decision::{Code, Denial};
use crate::types::endpoint::{Effect, Endpoint, Grant};
use std::collections::VecDeque;
use std::num::NonZeroU32;

/// The length of the window, in milliseconds.
const SECOND_MS: u64 = 1000;

/// Requests that are counted together. A bot that trades too fast can still look and cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Reads and cancels.
    ReadsAndCancels,
    /// Everything else.
    Others,
}

/// A bot's requests of the last second, in each lane.
#[derive(Clone, Debug, Default)]
pub struct Rate {
    reads_and_cancels: VecDeque<u64>,
    others: VecDeque<u64>,
}

/// In how many milliseconds a request will be let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfterMs(pub u64);

/// The lane of a request to an endpoint with an effect.
pub fn lane_of(endpoint: &Endpoint, effect: Effect) -> Lane {
    match endpoint.grant == Grant::Read || effect == Effect::Cancel {
        true => Lane::ReadsAndCancels,
        false => Lane::Others,
    }
}

impl Rate {
    /// Counts a request, unless `most` were counted in the second that ends now. One that is turned away counts
    /// nothing. `boot_ms` are milliseconds since boot.
    ///
    /// # Errors
    /// [`RetryAfterMs`], and nothing was counted.
    pub fn take(&mut self, lane: Lane, most: NonZeroU32, boot_ms: u64) -> Result<(), RetryAfterMs> {
        let taken = match lane {
            Lane::ReadsAndCancels => &mut self.reads_and_cancels,
            Lane::Others => &mut self.others,
        };
        while taken.pop_front_if(|at| *at + SECOND_MS <= boot_ms).is_some() {}
        let most = usize::try_from(most.get()).expect("32 bits fit");
        match taken.len().checked_sub(most) {
            Some(too_many) => Err(RetryAfterMs((taken[too_many] + SECOND_MS).saturating_sub(boot_ms))),
            None => {
                let last = taken.back().copied().unwrap_or(0);
                taken.push_back(boot_ms.max(last));
                Ok(())
            }
        }
    }

    /// The requests of the second that ends now, in the fuller lane.
    pub fn used(&self, boot_ms: u64) -> u64 {
        let within = |taken: &VecDeque<u64>| taken.iter().filter(|at| *at + SECOND_MS > boot_ms).count() as u64;
        within(&self.reads_and_cancels).max(within(&self.others))
    }
}

/// The answer to a request that was turned away.
pub fn denied(lane: Lane, most: NonZeroU32, wait: RetryAfterMs) -> Denial {
    let what = match lane {
        Lane::ReadsAndCancels => "reads and cancels",
        Lane::Others => "requests that are neither reads nor cancels",
    };
    let denial = Denial::new(
        Code::Rate,
        format!("this bot asked for more than {most} {what} in a second"),
        "slow down, or raise `requests_per_second` under `[limits]` in the bot's policy",
    );
    denial.by_rule("limits.requests_per_second").retry_after_ms(wait.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ask::Method;
    use proptest::prelude::{prop_assert, proptest};
    use proptest::{collection, test_runner::Config};

    fn most(most: u32) -> NonZeroU32 {
        NonZeroU32::new(most).unwrap()
    }

    #[test]
    fn no_more_than_the_limit_in_any_second() {
        let mut rate = Rate::default();
        let mut take = |at: u64| rate.take(Lane::Others, most(2), at).map_err(|wait| wait.0);
        assert_eq!((take(5_000), take(5_400), take(5_400)), (Ok(()), Ok(()), Err(600)));
        assert_eq!((take(5_999), take(6_000), take(6_000)), (Err(1), Ok(()), Err(400)));
        assert_eq!((take(6_400), take(9_000)), (Ok(()), Ok(())));
    }

    #[test]
    fn reads_and_cancels_go_on_when_orders_may_not() {
        let mut rate = Rate::default();
        let mut take = |lane| rate.take(lane, most(1), 0).is_ok();
        assert!(take(Lane::Others) && !take(Lane::Others));
        assert!(take(Lane::ReadsAndCancels) && !take(Lane::ReadsAndCancels));
    }

    #[test]
    fn a_limit_that_was_lowered_waits_for_all_that_is_too_much() {
        let mut rate = Rate::default();
        for at in [0, 100, 200] {
            rate.take(Lane::Others, most(3), at).unwrap();
        }
        assert_eq!(rate.take(Lane::Others, most(1), 300), Err(RetryAfterMs(900)));
        assert_eq!(rate.take(Lane::Others, most(2), 300), Err(RetryAfterMs(800)));
        assert_eq!(rate.take(Lane::Others, most(4), 300), Ok(()));
    }

    #[test]
    fn a_clock_that_goes_back_lets_no_more_through() {
        let mut rate = Rate::default();
        for at in [5_000, 1_000] {
            rate.take(Lane::Others, most(2), at).unwrap();
        }
        assert_eq!((rate.used(5_999), rate.used(6_000)), (2, 0));
        assert_eq!(rate.take(Lane::Others, most(1), 5_999), Err(RetryAfterMs(1)));
        assert_eq!(rate.take(Lane::Others, most(2), 6_000), Ok(()));
    }

    #[test]
    fn the_fuller_lane_is_shown() {
        let mut rate = Rate::default();
        for (lane, at) in [(Lane::Others, 0), (Lane::ReadsAndCancels, 0), (Lane::ReadsAndCancels, 500)] {
            rate.take(lane, most(9), at).unwrap();
        }
        assert_eq!((rate.used(999), rate.used(1_000), rate.used(1_500)), (2, 1, 0));
        rate.take(Lane::Others, most(9), 500).unwrap();
        rate.take(Lane::Others, most(9), 500).unwrap();
        assert_eq!(rate.used(500), 3);
    }

    #[test]
    fn lanes_follow_grant_and_effect() {
        let lane =
            |grant, effect| lane_of(&Endpoint { method: Method::Post, path: "/x".into(), grant, effect }, effect);
        for grant in Grant::ALL {
            for effect in [Effect::None, Effect::Place, Effect::Amend, Effect::Close] {
                assert_eq!(lane(grant, effect) == Lane::ReadsAndCancels, grant == Grant::Read, "{grant} {effect:?}");
            }
            assert_eq!(lane(grant, Effect::Cancel), Lane::ReadsAndCancels);
        }
        // What the body makes of it counts, not what the endpoint is for.
        let cancel = Endpoint { method: Method::Post, path: "/x".into(), grant: Grant::Trade, effect: Effect::Cancel };
        assert_eq!(lane_of(&cancel, Effect::None), Lane::Others);
    }

    #[test]
    fn the_answer_says_when_to_come_back() {
        let denial = denied(Lane::Others, most(20), RetryAfterMs(7));
        assert_eq!((denial.code, denial.retry_after_ms), (Code::Rate, Some(7)));
        assert_eq!(denial.rule, Some("limits.requests_per_second"));
        assert!(denial.detail.contains("20 requests that are neither"), "{}", denial.detail);
        let denial = denied(Lane::ReadsAndCancels, most(20), RetryAfterMs(7));
        assert!(denial.detail.contains("20 reads and cancels"), "{}", denial.detail);
    }

    proptest! {
        #![proptest_config(Config::with_cases(128))]

        #[test]
        fn every_second_holds_and_the_wait_is_exact(pauses in collection::vec(0_u64..400, 1..200), limit in 1_u32..9) {
            let mut rate = Rate::default();
            let (mut now, mut taken) = (0_u64, Vec::new());
            for pause in pauses {
                now += pause;
                let exact = taken.iter().filter(|at| **at + 1000 > now).count();
                match rate.take(Lane::Others, most(limit), now) {
                    Ok(()) => {
                        prop_assert!(exact < limit as usize);
                        taken.push(now);
                    }
                    Err(RetryAfterMs(wait)) => {
                        prop_assert!(exact >= limit as usize && wait > 0);
                        prop_assert!(rate.clone().take(Lane::Others, most(limit), now + wait).is_ok());
                        prop_assert!(rate.clone().take(Lane::Others, most(limit), now + wait - 1).is_err());
                    }
                }
                prop_assert!(rate.others.len() <= limit as usize);
            }
        }
    }
}
