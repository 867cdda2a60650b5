//! A disk with little space, and one with none.

use super::bed::*;
use crate::types::ask::{Ask, Method, Request, Wanted};
use crate::types::mode::Mode;
use crate::vault::Care;
use crate::vault::sign::{Asked, Refusal, sign};

const MIB: u64 = 1024 * 1024;

/// A furnished vault that goes cancel-only under 256 MiB, on a disk of which a test says how full it is.
fn on_a_disk() -> (Bed, crate::secret::SecretText, crate::secret::SecretText) {
    let (bed, bob, eve) = Bed::furnished();
    bed.vault.set_care(Care { low_space_bytes: 256 * MIB, ..bed.vault.care() });
    (bed, bob, eve)
}

impl Bed {
    fn has_free(&self, mib: u64) {
        self.vault.ledger().unwrap().space().pretend(Some(mib * MIB));
        self.vault.tend().unwrap();
    }

    /// Asks for an order or a cancel.
    fn post(&self, token: &crate::secret::SecretText, path: &str) -> Result<u64, Refusal> {
        let body =
            r#"{"instId":"BTC-USDT","ordId":"1","tdMode":"cash","side":"buy","ordType":"limit","sz":"1","px":"1"}"#;
        let body = if path.contains("cancel") { r#"{"instId":"BTC-USDT","ordId":"1"}"# } else { body };
        let request = Request { method: Method::Post, path: path.to_owned(), body: Some(body.to_owned()) };
        let ask = Ask { credential: "main".to_owned(), wanted: Wanted::Request(request) };
        let asked = Asked { caller: self.let_in(token).unwrap(), uid: None, ask };
        sign(&self.vault, vec![asked]).pop().unwrap().map(|signed| signed.audit_seq)
    }
}

const ORDER: &str = "/api/v5/trade/order";
const CANCEL: &str = "/api/v5/trade/cancel-order";

#[test]
fn little_space_leaves_reading_and_cancelling_and_goes_by_itself() {
    let (bed, bob, _) = on_a_disk();
    bed.has_free(300);
    bed.post(&bob, ORDER).unwrap();
    bed.has_free(255);
    let position = bed.vault.position().unwrap();
    assert_eq!(position.mode, Mode::CancelOnly);
    assert!(bed.vault.warnings().iter().any(|words| words.contains("little space")));
    assert!(bed.last_row().contains(r#""event":"mode","mode":"cancel-only","why":"disk""#), "{}", bed.last_row());
    assert!(matches!(bed.post(&bob, ORDER), Err(Refusal::Denied { .. })));
    bed.post(&bob, CANCEL).unwrap();
    bed.sign(&bob, "main").unwrap();

    let rows = bed.rows().len();
    bed.has_free(280);
    assert_eq!(bed.vault.position().unwrap().mode, Mode::CancelOnly, "enough is an eighth more");
    assert_eq!(bed.rows().len(), rows, "one row for each change");
    bed.has_free(288);
    assert_eq!(bed.vault.position().unwrap().mode, Mode::Normal);
    assert!(bed.last_row().contains(r#""mode":"normal","why":"disk""#), "{}", bed.last_row());
    assert!(!bed.vault.warnings().iter().any(|words| words.contains("little space")));
    bed.post(&bob, ORDER).unwrap();
}

#[test]
fn the_strictest_of_admin_bot_and_disk_holds_and_the_disks_is_no_setting() {
    let (bed, bob, _) = on_a_disk();
    bed.vault.set_mode(Mode::ReduceOnly, None).unwrap();
    bed.has_free(10);
    assert_eq!(bed.vault.position().unwrap().mode, Mode::CancelOnly);
    bed.vault.set_mode(Mode::Normal, None).unwrap();
    let modes = bed.vault.modes().unwrap();
    assert_eq!((modes.mode, modes.disk), (Mode::Normal, Mode::CancelOnly));
    let bob = bed.let_in(&bob).unwrap();
    assert_eq!(bed.vault.whoami(&bob.bot).unwrap().unwrap().mode, Mode::CancelOnly);
    let bed = bed.reopened();
    assert_eq!(bed.vault.modes().unwrap().disk, Mode::Normal, "the disk of the next unlock decides");
}

#[test]
fn an_unlock_on_a_disk_with_little_space_begins_cancel_only() {
    let (bed, bob, _) = on_a_disk();
    bed.vault.set_care(Care { low_space_bytes: u64::MAX, ..bed.vault.care() });
    bed.lock();
    let told = bed.unlock().unwrap();
    assert!(told.warnings.iter().any(|words| words.contains("little space")), "{:?}", told.warnings);
    assert!(matches!(bed.post(&bob, ORDER), Err(Refusal::Denied { .. })));
}

#[test]
fn zero_switches_it_off() {
    let (bed, bob, _) = on_a_disk();
    bed.vault.set_care(Care { low_space_bytes: 0, ..bed.vault.care() });
    bed.has_free(2);
    assert_eq!(bed.vault.position().unwrap().mode, Mode::Normal);
    bed.post(&bob, ORDER).unwrap();
}

#[test]
fn the_reserve_is_for_cancels_and_denials_do_not_eat_it() {
    let (bed, bob, eve) = on_a_disk();
    bed.has_free(1000);
    assert!(bed.paths().reserve().exists());
    let ledger = bed.vault.ledger().unwrap();
    ledger.space().pretend(Some(0));
    ledger.refuse_next_write();
    // The first write that finds the disk full is a cancel, and is signed all the same.
    let first = bed.post(&bob, CANCEL).unwrap();
    assert!(!bed.paths().reserve().exists());
    let rows = bed.rows().len();
    for _ in 0..3 {
        assert_eq!(bed.sign(&bob, "spare").unwrap_err(), Refusal::Unavailable, "a denial");
        assert_eq!(bed.sign(&bob, "main").unwrap_err(), Refusal::Unavailable, "a read");
    }
    assert_eq!(bed.rows().len(), rows);
    assert_eq!(bed.post(&bob, CANCEL), Ok(first + 1));
    bed.vault.revoke_bot("eve").unwrap();
    assert!(bed.let_in(&eve).is_err());
    bed.vault.set_mode(Mode::ReduceOnly, None).unwrap();
    assert!(bed.vault.add_credential(credential("new", "new")).is_err());
    assert!(bed.vault.position().unwrap().ledger_trouble.unwrap().contains("full"));
    bed.has_free(1000);
    assert_eq!(bed.vault.position().unwrap().ledger_trouble, None);
    assert!(bed.paths().reserve().exists(), "it is made again");
    bed.sign(&bob, "main").unwrap();
    bed.vault.audit_verify().unwrap();
}

#[test]
fn a_checkpoint_waits_until_a_full_disk_has_room_again() {
    let (bed, bob, _) = on_a_disk();
    let ledger = bed.vault.ledger().unwrap();
    ledger.space().pretend(Some(0));
    ledger.refuse_next_write();
    bed.sign(&bob, "main").unwrap_err();
    bed.clock.pass(86_400_000);
    bed.vault.tend().unwrap();
    assert!(!bed.last_row().contains(r#""event":"checkpoint""#), "what is left is for cancels");
    bed.has_free(1000);
    assert!(bed.last_row().contains(r#""event":"checkpoint""#), "{}", bed.last_row());
}

#[test]
fn a_cancel_does_not_fail_because_another_ask_stands_beside_it_on_a_full_disk() {
    let (bed, bob, _) = on_a_disk();
    let ledger = bed.vault.ledger().unwrap();
    ledger.space().pretend(Some(0));
    ledger.refuse_next_write();
    bed.sign(&bob, "main").unwrap_err();
    let caller = bed.let_in(&bob).unwrap();
    let cancel = Request {
        method: Method::Post,
        path: CANCEL.to_owned(),
        body: Some(r#"{"instId":"BTC-USDT","ordId":"1"}"#.to_owned()),
    };
    let cancel = Ask { credential: "main".to_owned(), wanted: Wanted::Request(cancel) };
    let asks = vec![asked(caller, "main"), Asked { caller, uid: None, ask: cancel }, asked(caller, "spare")];
    let answers = sign(&bed.vault, asks);
    assert_eq!(answers[0].as_ref().unwrap_err(), &Refusal::Unavailable);
    assert!(answers[1].is_ok());
    assert_eq!(answers[2].as_ref().unwrap_err(), &Refusal::Unavailable);
}
