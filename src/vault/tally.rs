//! How asks of each bot were decided, counted for monitors: by credential, by class of endpoint, by decision.
//!
//! Counted under the lock that asks are judged under, in arrays of a fixed size: no text is made and none compared. The
//! ledger is what proves anything; these counts begin at zero with each unlock.

use crate::types::decision::Code;
use crate::types::endpoint::{Effect, Endpoint, Grant};
use crate::types::id::Id;

/// What an ask is for, as far as monitors tell asks apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Reads.
    Read,
    /// Places orders.
    Place,
    /// Changes orders.
    Amend,
    /// Takes orders out.
    Cancel,
    /// Closes positions.
    Close,
    /// Has the grant `trade` and does nothing to the order book.
    Trade,
    /// Changes how the account trades.
    Settings,
    /// Trades that order rules cannot judge.
    Advanced,
    /// Moves funds inside the exchange.
    Funds,
    /// Makes or changes keys.
    Keys,
    /// Takes funds out.
    Withdraw,
    /// Logs a WebSocket in.
    Session,
    /// Nobody knows: it was refused before it was read.
    Unread,
}

/// How an ask was decided: allowed, or the family of the code that denied it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Allowed. Whether it was signed is up to the ledger.
    Allowed,
    /// `ask.*`: it can be read in two ways.
    Ask,
    /// `policy.credential`.
    Credential,
    /// `policy.endpoint`, `policy.endpoint_unknown`, `policy.grant`.
    Endpoint,
    /// `policy.order.*`, `policy.field_uncounted`.
    Order,
    /// `policy.transfer`.
    Transfer,
    /// `policy.mode`.
    Mode,
    /// `policy.replay`.
    Replay,
    /// `policy.rate`.
    Rate,
    /// `policy.limit`.
    Limit,
    /// `clock.jump`.
    Clock,
}

impl Class {
    /// Every class.
    pub const ALL: [Class; 13] = [
        Class::Read,
        Class::Place,
        Class::Amend,
        Class::Cancel,
        Class::Close,
        Class::Trade,
        Class::Settings,
        Class::Advanced,
        Class::Funds,
        Class::Keys,
        Class::Withdraw,
        Class::Session,
        Class::Unread,
    ];

    /// The class of an ask to this endpoint that would have this effect.
    pub fn of(endpoint: &Endpoint, effect: Effect) -> Class {
        match (endpoint.grant, effect) {
            (Grant::Read, _) => Class::Read,
            (Grant::Trade, Effect::Place) => Class::Place,
            (Grant::Trade, Effect::Amend) => Class::Amend,
            (Grant::Trade, Effect::Cancel) => Class::Cancel,
            (Grant::Trade, Effect::Close) => Class::Close,
            (Grant::Trade, Effect::None) => Class::Trade,
            (Grant::Settings, _) => Class::Settings,
            (Grant::Advanced, _) => Class::Advanced,
            (Grant::Funds, _) => Class::Funds,
            (Grant::Keys, _) => Class::Keys,
            (Grant::Withdraw, _) => Class::Withdraw,
            (Grant::Session, _) => Class::Session,
        }
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Read => "read",
            Class::Place => "place",
            Class::Amend => "amend",
            Class::Cancel => "cancel",
            Class::Close => "close",
            Class::Trade => "trade",
            Class::Settings => "settings",
            Class::Advanced => "advanced",
            Class::Funds => "funds",
            Class::Keys => "keys",
            Class::Withdraw => "withdraw",
            Class::Session => "session",
            Class::Unread => "unread",
        }
    }
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Outcome; 11] = [
        Outcome::Allowed,
        Outcome::Ask,
        Outcome::Credential,
        Outcome::Endpoint,
        Outcome::Order,
        Outcome::Transfer,
        Outcome::Mode,
        Outcome::Replay,
        Outcome::Rate,
        Outcome::Limit,
        Outcome::Clock,
    ];

    /// The family of a code.
    pub fn of(code: Code) -> Outcome {
        match code {
            Code::PathNotCanonical | Code::BodyUnexpected | Code::BodyAmbiguous => Outcome::Ask,
            Code::Credential => Outcome::Credential,
            Code::EndpointUnknown | Code::Grant | Code::Endpoint => Outcome::Endpoint,
            Code::Mode => Outcome::Mode,
            Code::OrderInstrument
            | Code::OrderSide
            | Code::OrderType
            | Code::OrderSize
            | Code::OrderNotional
            | Code::OrderPrice
            | Code::OrderReduceOnly
            | Code::OrderClientId
            | Code::FieldUncounted => Outcome::Order,
            Code::Transfer => Outcome::Transfer,
            Code::Replay => Outcome::Replay,
            Code::Rate => Outcome::Rate,
            Code::Limit => Outcome::Limit,
            Code::ClockJump => Outcome::Clock,
        }
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Allowed => "allowed",
            Outcome::Ask => "ask",
            Outcome::Credential => "policy.credential",
            Outcome::Endpoint => "policy.endpoint",
            Outcome::Order => "policy.order",
            Outcome::Transfer => "policy.transfer",
            Outcome::Mode => "policy.mode",
            Outcome::Replay => "policy.replay",
            Outcome::Rate => "policy.rate",
            Outcome::Limit => "policy.limit",
            Outcome::Clock => "clock.jump",
        }
    }
}

/// How often each class was decided in each way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally([[u64; Outcome::ALL.len()]; Class::ALL.len()]);

impl Tally {
    /// Every count that is not zero.
    pub fn counts(&self) -> impl Iterator<Item = (Class, Outcome, u64)> {
        let of_class =
            |class: Class| Outcome::ALL.map(|outcome| (class, outcome, self.0[class as usize][outcome as usize]));
        Class::ALL.into_iter().flat_map(of_class).filter(|(_, _, count)| *count > 0)
    }
}

/// The tallies of a bot, by credential; none for asks that named no credential of its own. As many as the bot has
/// credentials, so looking through them takes no longer than looking a credential up.
#[derive(Clone, Debug, Default)]
pub struct Tallies(Vec<(Option<Id>, Box<Tally>)>);

impl Tallies {
    /// Counts one decision. Takes memory for the first of each credential only.
    pub fn count(&mut self, credential: Option<Id>, class: Class, outcome: Outcome) {
        let at = self.0.iter().position(|(id, _)| *id == credential).unwrap_or_else(|| {
            self.0.push((credential, Box::default()));
            self.0.len() - 1
        });
        self.0[at].1.0[class as usize][outcome as usize] += 1;
    }

    /// Every tally with its credential.
    pub fn iter(&self) -> impl Iterator<Item = (Option<Id>, &Tally)> {
        self.0.iter().map(|(id, tally)| (*id, &**tally))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_and_outcome_has_a_place_and_a_word_of_its_own() {
        let mut tallies = Tallies::default();
        for class in Class::ALL {
            for outcome in Outcome::ALL {
                tallies.count(None, class, outcome);
            }
        }
        let (_, tally) = tallies.iter().next().unwrap();
        assert_eq!(tally.counts().count(), 13 * 11);
        assert!(tally.counts().all(|(_, _, count)| count == 1));
        let words: std::collections::BTreeSet<_> =
            Class::ALL.map(Class::as_str).into_iter().chain(Outcome::ALL.map(Outcome::as_str)).collect();
        assert_eq!(words.len(), 13 + 11);
    }

    #[test]
    fn credentials_are_counted_apart() {
        let mut tallies = Tallies::default();
        let (one, other) = (Some(Id([1; 16])), Some(Id([2; 16])));
        for credential in [one, other, one, None, one] {
            tallies.count(credential, Class::Place, Outcome::Allowed);
        }
        tallies.count(one, Class::Place, Outcome::Limit);
        let counted: Vec<_> = tallies.iter().map(|(id, tally)| (id, tally.counts().collect::<Vec<_>>())).collect();
        assert_eq!(counted[0].1, [(Class::Place, Outcome::Allowed, 3), (Class::Place, Outcome::Limit, 1)]);
        assert_eq!((counted[1].0, &counted[1].1[..]), (other, &[(Class::Place, Outcome::Allowed, 1)][..]));
        assert_eq!((counted[2].0, counted.len()), (None, 3));
    }
}
