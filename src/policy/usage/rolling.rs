//! One rolling window: steps of orders and notional, the oldest first.

use crate::policy::usage::{Used, Window};
use crate::types::clock::UnixMs;
use crate::types::decimal::Decimal;
use std::collections::VecDeque;

/// Into how many steps a window is cut. An entry leaves at most one step's length late.
const STEPS: i64 = 1024;

/// A rolling window.
#[derive(Clone, Debug)]
pub struct Rolling {
    length_ms: i64,
    /// The oldest first. Times never go back, neither in a step nor from one step to the next.
    steps: VecDeque<Step>,
    /// The sum of all steps.
    sum: Used,
}

/// Entries that leave together, because they came within a 1024th of the window.
#[derive(Clone, Debug)]
struct Step {
    first: UnixMs,
    last: UnixMs,
    used: Used,
}

impl Rolling {
    /// A window in which nothing was used.
    pub fn new(window: Window) -> Rolling {
        let length_ms = 1000 * i64::try_from(window.seconds()).expect("a window is a day at most");
        Rolling { length_ms, steps: VecDeque::new(), sum: Used::default() }
    }

    /// Counts an entry.
    pub fn add(&mut self, orders: u64, notional: &Decimal, at: UnixMs) {
        self.expire(at);
        // A clock that was set back must not make an entry leave before those that came first.
        let at = self.steps.back().map_or(at, |step| step.last.max(at));
        let longest = self.length_ms / STEPS;
        match self.steps.back_mut().filter(|step| at <= step.first.plus_ms(longest)) {
            Some(step) => {
                step.last = at;
                step.used.add(orders, notional);
            }
            None => {
                let used = Used { orders, notional: notional.clone() };
                self.steps.push_back(Step { first: at, last: at, used });
            }
        }
        self.sum.add(orders, notional);
    }

    /// What was used in the window that ends now.
    pub fn used(&self, now: UnixMs) -> Used {
        let over = self.steps.iter().take_while(|step| self.is_over(step, now));
        over.fold(self.sum.clone(), |sum, step| sum.without(&step.used))
    }

    /// Whether `fits` holds for what was used. Where it holds for all that is remembered nothing need be taken off.
    pub fn has_room(&self, now: UnixMs, fits: impl Fn(&Used) -> bool) -> bool {
        fits(&self.sum) || fits(&self.used(now))
    }

    /// In how many milliseconds `fits` will hold for what is left.
    pub fn wait(&self, now: UnixMs, fits: impl Fn(&Used) -> bool) -> Option<u64> {
        let mut left = self.sum.clone();
        let mut wait = 0;
        for step in &self.steps {
            if fits(&left) {
                return Some(wait);
            }
            left = left.without(&step.used);
            wait = u64::try_from(self.end(step).0.saturating_sub(now.0)).unwrap_or(0);
        }
        fits(&left).then_some(wait)
    }

    /// Takes what was counted after `now` for counted now: a clock that was ahead would keep it for as long.
    pub fn not_after(&mut self, now: UnixMs) {
        for step in &mut self.steps {
            (step.first, step.last) = (step.first.min(now), step.last.min(now));
        }
    }

    fn expire(&mut self, now: UnixMs) {
        while let Some(step) = self.steps.pop_front_if(|step| step.last.plus_ms(self.length_ms) <= now) {
            self.sum = self.sum.without(&step.used);
        }
    }

    fn is_over(&self, step: &Step, now: UnixMs) -> bool {
        self.end(step) <= now
    }

    fn end(&self, step: &Step) -> UnixMs {
        step.last.plus_ms(self.length_ms)
    }
}

impl Used {
    fn add(&mut self, orders: u64, notional: &Decimal) {
        self.orders += orders;
        self.notional = self.notional.plus(notional);
    }

    fn without(&self, other: &Used) -> Used {
        Used { orders: self.orders - other.orders, notional: self.notional.minus(&other.notional) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, proptest};
    use proptest::{collection, test_runner::Config};

    fn minute(entries: &[(i64, u64)]) -> Rolling {
        let mut rolling = Rolling::new(Window::Minute);
        for (at, orders) in entries {
            rolling.add(*orders, &Decimal::from(*orders * 10), UnixMs(*at));
        }
        rolling
    }

    fn used(rolling: &Rolling, now: i64) -> u64 {
        let used = rolling.used(UnixMs(now));
        assert_eq!(used.notional, Decimal::from(used.orders * 10), "orders and notional leave together");
        used.orders
    }

    #[test]
    fn an_entry_is_gone_once_the_window_has_passed() {
        let rolling = minute(&[(1000, 3)]);
        assert_eq!((used(&rolling, 1000), used(&rolling, 60_999), used(&rolling, 61_000)), (3, 3, 0));
    }

    #[test]
    fn entries_within_a_step_leave_with_its_last() {
        let rolling = minute(&[(0, 1), (58, 1)]);
        assert_eq!(rolling.steps.len(), 1);
        assert_eq!((used(&rolling, 60_057), used(&rolling, 60_058)), (2, 0));
        let rolling = minute(&[(0, 1), (59, 1)]);
        assert_eq!(rolling.steps.len(), 2);
        assert_eq!((used(&rolling, 59_999), used(&rolling, 60_000), used(&rolling, 60_059)), (2, 1, 0));
    }

    #[test]
    fn what_a_clock_ahead_counted_leaves_in_time_once_a_person_has_put_it_right() {
        let mut rolling = minute(&[(1000, 1), (9_000_000, 2)]);
        assert_eq!(
            (used(&rolling, 2000), used(&rolling, 8_000_000)),
            (2, 2),
            "the first left when the clock ran ahead"
        );
        rolling.not_after(UnixMs(2000));
        assert_eq!((used(&rolling, 2000), used(&rolling, 61_999), used(&rolling, 62_000)), (2, 2, 0));
        rolling.add(1, &Decimal::from(10), UnixMs(2001));
        assert_eq!((used(&rolling, 62_000), used(&rolling, 62_001)), (3, 0));
        let mut rolling = minute(&[(1000, 1)]);
        rolling.not_after(UnixMs(2000));
        assert_eq!((used(&rolling, 60_999), used(&rolling, 61_000)), (1, 0), "what is past stays where it was");
    }

    #[test]
    fn a_step_is_measured_from_its_first_entry() {
        assert_eq!(minute(&[(0, 1), (40, 1), (58, 1), (59, 1), (117, 1), (118, 1)]).steps.len(), 3);
    }

    #[test]
    fn a_clock_that_goes_back_loses_nothing_and_counts_nothing_twice() {
        let mut rolling = minute(&[(10_000, 1), (3_000, 1), (10_058, 1), (9_000, 1)]);
        assert_eq!(rolling.steps.len(), 1);
        assert_eq!((used(&rolling, 2_000), used(&rolling, 70_057), used(&rolling, 70_058)), (4, 4, 0));
        rolling.add(5, &Decimal::from(50), UnixMs(70_058));
        assert_eq!((used(&rolling, 70_058), rolling.steps.len()), (5, 1));
    }

    #[test]
    fn adding_forgets_what_is_over_and_nothing_else() {
        let mut rolling = minute(&[(0, 1), (100, 2)]);
        rolling.add(4, &Decimal::from(40), UnixMs(60_099));
        assert_eq!((rolling.steps.len(), rolling.sum.orders), (2, 6));
        rolling.add(8, &Decimal::from(80), UnixMs(60_100));
        assert_eq!((rolling.steps.len(), rolling.sum.orders), (1, 12));
    }

    #[test]
    fn what_has_left_the_window_takes_no_room() {
        let rolling = minute(&[(0, 1), (1_000, 2)]);
        let has_room = |now: i64, most: u64| rolling.has_room(UnixMs(now), |used| used.orders <= most);
        assert!(has_room(59_999, 3) && !has_room(59_999, 2));
        assert!(has_room(60_000, 2) && !has_room(60_000, 1));
    }

    #[test]
    fn the_wait_ends_when_enough_has_left() {
        let rolling = minute(&[(0, 1), (1_000, 2), (2_000, 4)]);
        let wait = |now: i64, most: u64| rolling.wait(UnixMs(now), |left| left.orders <= most);
        assert_eq!((wait(2_000, 7), wait(2_000, 6), wait(2_000, 5)), (Some(0), Some(58_000), Some(59_000)));
        assert_eq!((wait(2_000, 4), wait(2_000, 3), wait(2_000, 0)), (Some(59_000), Some(60_000), Some(60_000)));
        assert_eq!(wait(61_999, 0), Some(1));
        assert_eq!(rolling.wait(UnixMs(0), |_| false), None);
        assert_eq!(minute(&[]).wait(UnixMs(0), |left| left.orders == 0), Some(0));
    }

    #[test]
    fn a_busy_day_takes_little_memory() {
        for window in Window::ALL {
            let mut rolling = Rolling::new(window);
            for at in 0..100_000 {
                rolling.add(1, &Decimal::default(), UnixMs(at * rolling.length_ms / 50_000));
                assert!(rolling.steps.len() <= 1026, "{window:?}: {} steps", rolling.steps.len());
            }
        }
    }

    proptest! {
        #![proptest_config(Config::with_cases(64))]

        /// Against a list of all entries: never less than a window holds, never more than a window and a step hold.
        #[test]
        fn what_is_used_lies_between_the_exact_window_and_one_a_step_longer(
            entries in collection::vec((0_i64..200, 1_u64..5, any::<bool>()), 1..200),
            ahead in 0_i64..70_000,
        ) {
            let mut rolling = Rolling::new(Window::Minute);
            let mut all: Vec<(i64, u64)> = Vec::new();
            let mut now = 0;
            for (pause, orders, long) in entries {
                now += if long { pause * 100 } else { pause };
                all.push((now, orders));
                rolling.add(orders, &Decimal::from(orders), UnixMs(now));
                for now in [now, now + ahead] {
                    let within = |ms: i64| all.iter().filter(|(at, _)| at + ms > now).map(|(_, orders)| orders).sum::<u64>();
                    let used = rolling.used(UnixMs(now));
                    prop_assert!(within(60_000) <= used.orders && used.orders <= within(60_000 + 60_000 / STEPS));
                    prop_assert!(used.notional == Decimal::from(used.orders));
                }
            }
        }

        /// Whoever asks before each order has no more than the limit in any window, and may go on when told.
        #[test]
        fn a_limit_holds_in_every_window(pauses in collection::vec(0_i64..9_000, 1..150), most in 1_u64..8) {
            let mut rolling = Rolling::new(Window::Minute);
            let mut allowed: Vec<i64> = Vec::new();
            let mut now = 0;
            for pause in pauses {
                now += pause;
                let fits = |used: &Used| used.orders < most;
                if fits(&rolling.used(UnixMs(now))) {
                    rolling.add(1, &Decimal::default(), UnixMs(now));
                    allowed.push(now);
                } else {
                    let wait = rolling.wait(UnixMs(now), fits).expect("an empty window fits");
                    let then = now + i64::try_from(wait).expect("a minute at most");
                    prop_assert!(fits(&rolling.used(UnixMs(then))) && !fits(&rolling.used(UnixMs(then - 1))));
                }
            }
            for start in &allowed {
                let within = allowed.iter().filter(|at| (*start..start + 60_000).contains(at)).count();
                prop_assert!(within as u64 <= most);
            }
        }
    }
}
