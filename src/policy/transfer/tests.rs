//! What moves, and what does not.

use crate::policy::TransferRules;
use crate::policy::tests::bed::{Bed, buy, number, sizes, text};
use crate::types::decision::Code;
use crate::types::endpoint::{Effect, Grant};
use crate::types::facts::{Fact, Subject, Transfer};
use std::collections::BTreeSet;

fn transfer() -> Transfer<'static> {
    Transfer {
        currency: text("USDT"),
        amount: Fact::Is(number("100")),
        destination: text("0xabc"),
        client_id: Fact::Absent,
        uncounted: None,
    }
}

fn judged(subject: Subject<'static>, addresses: Option<&[&str]>, most: Option<&[(&str, &str)]>) -> Bed {
    let mut bed = Bed::new(Grant::Withdraw, Effect::None, subject);
    let addresses = addresses.map(|all| all.iter().map(|one| (*one).to_owned()).collect::<BTreeSet<_>>());
    bed.policy.transfer = Some(TransferRules { addresses, max_amount: most.map(sizes) });
    bed
}

#[test]
fn only_listed_destinations_are_paid() {
    let to = |destination, listed: &[&str]| {
        judged(Subject::Transfer(Transfer { destination, ..transfer() }), Some(listed), None).denied_by()
    };
    let denied = Some((Code::Transfer, "transfer.addresses"));
    assert_eq!(to(text("0xabc"), &["0xabc", "6"]), None);
    assert_eq!(to(text("0xABC"), &["0xabc"]), denied);
    assert_eq!(to(text("0xabc "), &["0xabc"]), denied);
    assert_eq!(to(text("0xabc"), &[]), denied);
    assert_eq!(to(Fact::Absent, &["0xabc"]), denied);
    assert_eq!(to(Fact::Unreadable, &["0xabc"]), denied);
}

#[test]
fn without_a_list_any_destination_is_paid() {
    for destination in [text("x"), Fact::Absent, Fact::Unreadable] {
        let subject = Subject::Transfer(Transfer { destination, uncounted: Some("rcvrInfo"), ..transfer() });
        assert_eq!(judged(subject, None, None).code(), None);
    }
}

#[test]
fn a_member_that_nobody_reads_denies_where_destinations_are_listed() {
    let subject = Subject::Transfer(Transfer { uncounted: Some("rcvrInfo"), ..transfer() });
    let bed = judged(subject.clone(), Some(&["0xabc"]), None);
    assert_eq!(bed.denied_by(), Some((Code::FieldUncounted, "transfer.addresses")));
    assert!(bed.detail().contains("`rcvrInfo`"));
    assert_eq!(judged(subject, None, Some(&[("USDT", "100")])).code(), None);
}

#[test]
fn amounts_end_at_the_largest_of_the_currency() {
    let pay = |amount: Fact<_>, currency| {
        let subject = Subject::Transfer(Transfer { amount, currency, ..transfer() });
        judged(subject, None, Some(&[("USDT", "100"), ("BTC", "0.1")])).denied_by()
    };
    let is = |amount: &str| Fact::Is(number(amount));
    let denied = Some((Code::Transfer, "transfer.max_amount"));
    assert_eq!(pay(is("100"), text("USDT")), None);
    assert_eq!(pay(is("100.000000000000000001"), text("USDT")), denied);
    assert_eq!(pay(is("0"), text("USDT")), None);
    assert_eq!(pay(is("0.1"), text("BTC")), None);
    assert_eq!(pay(is("0.2"), text("BTC")), denied);
    assert_eq!(pay(is("1"), text("ETH")), denied);
    assert_eq!(pay(is("1"), text("usdt")), denied);
    assert_eq!(pay(is("1"), Fact::Absent), denied);
    assert_eq!(pay(is("1"), Fact::Unreadable), denied);
    assert_eq!(pay(Fact::Absent, text("USDT")), denied);
    assert_eq!(pay(Fact::Unreadable, text("USDT")), denied);
}

#[test]
fn help_lists_the_currencies_that_are_allowed() {
    let help = |most: &[(&str, &str)]| {
        let bed = judged(Subject::Transfer(Transfer { currency: text("ETH"), ..transfer() }), None, Some(most));
        bed.denial().unwrap().help.into_owned()
    };
    assert!(help(&[("USDT", "100"), ("BTC", "0.1")]).contains("allows BTC, USDT;"));
    assert!(help(&[]).contains("allows none;"));
}

#[test]
fn what_the_rules_cannot_judge_does_not_move() {
    for grant in Grant::ALL {
        let bed = |subject| {
            let mut bed = judged(subject, None, None);
            bed.endpoint.grant = grant;
            bed.denied_by()
        };
        let moves = matches!(grant, Grant::Funds | Grant::Withdraw);
        let uncounted = moves.then_some((Code::FieldUncounted, "transfer"));
        assert_eq!(bed(Subject::Unknown), uncounted, "{grant}");
        assert_eq!(bed(Subject::Orders(vec![buy()])), uncounted, "{grant}");
        assert_eq!(bed(Subject::Misshapen), moves.then_some((Code::Transfer, "transfer")), "{grant}");
        assert_eq!(bed(Subject::Transfer(transfer())), None, "{grant}");
    }
    assert_eq!(Bed::new(Grant::Withdraw, Effect::None, Subject::Unknown).code(), None, "without rules");
}

#[test]
fn where_to_is_asked_before_how_much() {
    let subject = Subject::Transfer(Transfer { amount: Fact::Unreadable, uncounted: Some("x"), ..transfer() });
    let rule = |addresses: &[&str]| judged(subject.clone(), Some(addresses), Some(&[])).denied_by();
    assert_eq!(rule(&[]), Some((Code::Transfer, "transfer.addresses")));
    assert_eq!(rule(&["0xabc"]), Some((Code::FieldUncounted, "transfer.addresses")));
}
