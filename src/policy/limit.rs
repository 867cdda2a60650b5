//! Limits over time: what an ask counts for, and whether there is so much left.
//!
//! An order without an id that the exchange accepts once could be sent many times with one signature, so rolling limits
//! ask for one. The same ask may be signed again, for a retry after a time-out, and counts again.

use crate::policy::notional::{self, Basis};
use crate::policy::order::{self, Nth};
use crate::policy::rate::Rate;
use crate::policy::rule::only_reduces;
use crate::policy::usage::{ClientIds, Counts, IDS_KEPT_MS, Meter, Used, Window};
use crate::policy::{Case, Limits, Policy};
use crate::types::clock::UnixMs;
use crate::types::decimal::Decimal;
use crate::types::decision::{Code, Denial};
use crate::types::endpoint::{Effect, Grant};
use crate::types::facts::Order;
use std::fmt;

/// What limits say of an ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limited {
    /// What it counts for, as far as that can be counted; none when it counts for nothing.
    pub counts: Option<Counts>,
    /// Why it may not be signed now.
    pub denial: Option<Denial>,
}

/// What a limit counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Requests or orders.
    Number(u64),
    /// Quote currency.
    Money(Decimal),
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Quantity::Number(number) => number.fmt(f),
            Quantity::Money(money) => money.fmt(f),
        }
    }
}

/// How much of a limit is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gauge {
    /// As the policy names it: `orders_per_day`.
    pub name: &'static str,
    /// What is used.
    pub used: Quantity,
    /// What may be used.
    pub max: Quantity,
    /// In so many seconds.
    pub window_s: u64,
}

/// Every limit of a policy with what is used of it: all, where what was used is unknown. Of the two lanes of requests the
/// fuller one is shown.
pub fn gauges(
    policy: &Policy,
    meter: &Meter,
    unknown_before: Option<UnixMs>,
    rate: &Rate,
    now: UnixMs,
    boot_ms: u64,
) -> Vec<Gauge> {
    let requests = Gauge {
        name: "requests_per_second",
        used: Quantity::Number(rate.used(boot_ms)),
        max: Quantity::Number(policy.requests_per_second().get().into()),
        window_s: 1,
    };
    let rolling = rolling(&policy.limits).map(|limit| Gauge {
        name: limit.name(),
        used: match unknown_before.and_then(|moment| limit.window.wait_for_all_before(moment, now)) {
            Some(_) => limit.max.clone(),
            None => limit.max.counted(&meter.used(limit.window, now)),
        },
        max: limit.max.clone(),
        window_s: limit.window.seconds(),
    });
    [requests].into_iter().chain(rolling).collect()
}

/// A rolling limit of a policy.
struct Rolling {
    /// The key of the file with its table.
    rule: &'static str,
    window: Window,
    max: Quantity,
}

impl Rolling {
    fn name(&self) -> &'static str {
        self.rule.trim_start_matches("limits.")
    }
}

impl Quantity {
    /// The part of a use that this quantity bounds.
    fn counted(&self, used: &Used) -> Quantity {
        match self {
            Quantity::Number(_) => Quantity::Number(used.orders),
            Quantity::Money(_) => Quantity::Money(used.notional.clone()),
        }
    }

    /// Whether an ask counts for anything here.
    fn touches(&self, counts: &Counts) -> bool {
        match self {
            Quantity::Number(_) => counts.orders > 0,
            Quantity::Money(_) => !counts.notional.is_zero(),
        }
    }

    /// Whether an ask fits on top of what was used.
    fn has_room(&self, used: &Used, counts: &Counts) -> bool {
        match self {
            Quantity::Number(most) => used.orders + counts.orders <= *most,
            Quantity::Money(most) => used.notional.plus(&counts.notional) <= *most,
        }
    }
}

/// Every rolling limit of a policy.
fn rolling(limits: &Limits) -> impl Iterator<Item = Rolling> {
    let number = |most: Option<u64>| most.map(Quantity::Number);
    let money = |most: &Option<Decimal>| most.clone().map(Quantity::Money);
    let all = [
        ("limits.orders_per_minute", Window::Minute, number(limits.orders_per_minute)),
        ("limits.orders_per_hour", Window::Hour, number(limits.orders_per_hour)),
        ("limits.orders_per_day", Window::Day, number(limits.orders_per_day)),
        ("limits.notional_per_hour", Window::Hour, money(&limits.notional_per_hour)),
        ("limits.notional_per_day", Window::Day, money(&limits.notional_per_day)),
    ];
    all.into_iter().filter_map(|(rule, window, max)| Some(Rolling { rule, window, max: max? }))
}

/// `limits`: counts what an ask places or changes, and compares it with what is left.
///
/// Cancels, closes and reads count for nothing. Trades of the grant `advanced` can't be counted.
pub fn judge(policy: &Policy, case: &Case<'_>) -> Limited {
    if !policy.limits.are_rolling() {
        return Limited::default();
    }
    match (case.endpoint.grant, case.facts.effect) {
        (Grant::Advanced, effect) if effect != Effect::Cancel => Limited::denied(advanced()),
        (Grant::Trade, Effect::Place | Effect::Amend) => match order::readable(case.facts) {
            Some(orders) => count(policy, case, orders),
            None => Limited::denied(unreadable()),
        },
        _ => Limited::default(),
    }
}

impl Limited {
    fn denied(denial: Denial) -> Limited {
        Limited { counts: None, denial: Some(denial) }
    }
}

/// Counts all that can be counted, also behind an order that is denied: in shadow it will be placed all the same.
fn count(policy: &Policy, case: &Case<'_>, orders: &[Order<'_>]) -> Limited {
    let basis = Basis::of(policy.order.as_ref(), case);
    let (mut counts, mut denial) = (Counts::default(), None);
    for (nth, order) in order::numbered(orders) {
        let places = matches!(order.effect, Effect::Place | Effect::None);
        // `or` and not `or_else`: the rest is counted whatever was found before.
        if places {
            counts.orders += 1;
            denial = denial.or(count_id(&mut counts, case, order, nth));
        }
        if (places || order.effect == Effect::Amend) && policy.limits.count_notional() {
            denial = denial.or(count_notional(&mut counts, order, nth, &basis));
        }
    }
    let denial = denial
        .or_else(|| no_room(case.usage.ids, &counts, case.now))
        .or_else(|| unknown(&policy.limits, case, &counts))
        .or_else(|| rolling(&policy.limits).find_map(|limit| spent(&limit, case, &counts)));
    Limited { counts: (counts != Counts::default()).then_some(counts), denial }
}

fn count_id(counts: &mut Counts, case: &Case<'_>, order: &Order<'_>, nth: Nth) -> Option<Denial> {
    let Some(id) = order.client_id.known() else { return Some(no_id(nth)) };
    let id = ClientIds::hash(id);
    if counts.ids.contains(&id) {
        return Some(replayed(nth, "has the client id of an order before it in the same body"));
    }
    counts.ids.push(id);
    let conflicts = case.usage.ids.conflicts(&id, &case.digest, case.now);
    conflicts.then(|| replayed(nth, "has a client id that was used for something else in the last seven days"))
}

fn count_notional(counts: &mut Counts, order: &Order<'_>, nth: Nth, basis: &Basis<'_>) -> Option<Denial> {
    let uncounted = order.uncounted.map(|member| order::uncounted_member(nth, member).by_rule("limits"));
    match notional::of(order, basis) {
        Ok(worth) => {
            counts.notional = counts.notional.plus(&worth);
            uncounted
        }
        Err(why) => uncounted.or_else(|| Some(order::uncountable(nth, why).by_rule("limits"))),
    }
}

fn no_room(ids: &ClientIds, counts: &Counts, now: UnixMs) -> Option<Denial> {
    let wait = ids.wait_for_room(&counts.ids, now).unwrap_or(IDS_KEPT_MS.unsigned_abs());
    if wait == 0 {
        return None;
    }
    let denial = Denial::new(
        Code::Limit,
        "the credential has as many client ids in memory as it can hold, and none is forgotten before its seven days",
        "wait, or trade this much with another credential",
    );
    Some(denial.by_rule("limits").retry_after_ms(wait))
}

/// After a restore nobody knows what was used before it, so all of it was. Who only closes positions may go on.
fn unknown(limits: &Limits, case: &Case<'_>, counts: &Counts) -> Option<Denial> {
    let restored = case.usage.unknown_before?;
    if only_reduces(case.facts) {
        return None;
    }
    let touched = rolling(limits).filter(|limit| limit.max.touches(counts));
    let waits = touched.filter_map(|limit| Some((limit.window.wait_for_all_before(restored, case.now)?, limit)));
    let (wait, limit) = waits.max_by_key(|(wait, _)| *wait)?;
    let denial = Denial::new(
        Code::Limit,
        format!(
            "the vault was restored from a backup, and what was signed since that was made is unknown, so `{}` counts as \
             spent until it has been back for {}",
            limit.name(),
            length(limit.window)
        ),
        "wait, or only close positions; who knows that nothing was signed since the backup can restore it with \
         `signvault restore --reset-limits`",
    );
    Some(denial.by_rule(limit.rule).retry_after_ms(wait))
}

fn spent(limit: &Rolling, case: &Case<'_>, counts: &Counts) -> Option<Denial> {
    let meter = case.usage.meter;
    let has_room = |used: &Used| limit.max.has_room(used, counts);
    if !limit.max.touches(counts) || meter.has_room(limit.window, case.now, has_room) {
        return None;
    }
    // More than the limit at once never fits: the longest that waiting could make sense is one window.
    let wait = meter.wait(limit.window, case.now, has_room).unwrap_or(limit.window.seconds() * 1000);
    let denial = Denial::new(
        Code::Limit,
        format!("with this ask the bot would go over `{}`, which is {}", limit.name(), limit.max),
        format!(
            "wait until earlier orders have left the last {}, or raise `{}` under `[limits]`",
            span(limit.window),
            limit.name()
        ),
    );
    Some(denial.by_rule(limit.rule).retry_after_ms(wait))
}

fn span(window: Window) -> &'static str {
    match window {
        Window::Minute => "minute",
        Window::Hour => "hour",
        Window::Day => "24 hours",
    }
}

fn length(window: Window) -> &'static str {
    match window {
        Window::Minute => "a minute",
        Window::Hour => "an hour",
        Window::Day => "24 hours",
    }
}

fn no_id(nth: Nth) -> Denial {
    let denial = Denial::new(
        Code::OrderClientId,
        format!("{nth} has no client id, so one signature could place it many times"),
        "give every order an id of its own, stops in the member that the exchange has for theirs; the policy's rolling limits need it",
    );
    denial.by_rule("limits")
}

fn replayed(nth: Nth, what: &str) -> Denial {
    let denial = Denial::new(
        Code::Replay,
        format!("{nth} {what}"),
        "give every order an id of its own; to ask again after a time-out, send exactly the same bytes",
    );
    denial.by_rule("limits")
}

fn advanced() -> Denial {
    let detail = "this endpoint trades in a way that rolling limits can't count";
    let help = "take `advanced` out of `grants`, or take the rolling limits out of the policy, or give the bot that does this a policy of its own";
    Denial::new(Code::FieldUncounted, detail, help).by_rule("limits")
}

fn unreadable() -> Denial {
    let detail = "the body has no orders in a form that rolling limits can count";
    let help = "send orders as the exchange documents them, or narrow the policy with `endpoints` to those that can be counted";
    Denial::new(Code::FieldUncounted, detail, help).by_rule("limits")
}

#[cfg(test)]
mod tests;
