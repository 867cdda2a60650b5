//! What monitors are told, and that nobody waits for it.

use super::bed::{Bed, bot, credential, wait_for};
use crate::vault::figures::{Decided, Figures};
use crate::vault::tally::{Class, Outcome};
use crate::wire::BotAdd;
use std::thread;

/// Everything that is told of bots and credentials, in an order that does not depend on ids.
fn told(figures: &Figures) -> Vec<String> {
    let unlocked = figures.unlocked.as_ref().unwrap();
    let credentials = unlocked.credentials.iter().map(|credential| format!("{credential:?}"));
    let mut told: Vec<String> = credentials.chain(unlocked.bots.iter().map(|bot| format!("{bot:?}"))).collect();
    told.sort();
    told
}

#[test]
fn pages_of_any_size_tell_the_same() {
    let (bed, bob, eve) = Bed::furnished();
    for name in ["third", "fourth"] {
        bed.vault.add_credential(credential(name, "x")).unwrap();
        let expiring = BotAdd { expires_in_s: Some(3600), ..bot(name, name, None) };
        bed.vault.add_bot(expiring).unwrap();
    }
    for _ in 0..3 {
        bed.sign(&bob, "main").unwrap();
    }
    bed.sign(&eve, "main").unwrap_err();
    bed.clock.pass(7000);
    let all = told(&bed.vault.figures());
    assert_eq!(all.len(), 8);
    assert!([1, 2, 3, 5].iter().all(|page| told(&bed.vault.figures_by(*page)) == all));
    let figures = bed.vault.figures();
    let bobs = figures.unlocked.unwrap().bots.into_iter().find(|bot| bot.name == "bob").unwrap();
    assert_eq!((bobs.last_seen_ms, bobs.expires_in_ms), (Some(7000), None));
    let credential = Some("main".to_owned());
    assert_eq!(bobs.decisions, [Decided { credential, class: Class::Read, outcome: Outcome::Allowed, count: 3 }]);
    bed.lock();
    assert!(bed.vault.figures().unlocked.is_none());
}

#[test]
fn a_disk_that_hangs_keeps_no_figures_back() {
    let (bed, bob, _) = Bed::furnished();
    let ledger = bed.vault.ledger().unwrap();
    let disk = ledger.stall();
    thread::scope(|scope| {
        let waits = scope.spawn(|| bed.sign(&bob, "main").is_ok());
        wait_for(&ledger, 1);
        let figures = bed.vault.figures();
        assert_eq!(figures.ledger.unwrap().waiting, 1);
        assert!(figures.unlocked.unwrap().bots.iter().any(|bot| !bot.decisions.is_empty()));
        drop(disk);
        assert!(waits.join().unwrap());
    });
    assert_eq!(bed.vault.figures().ledger.unwrap().waiting, 0);
}
