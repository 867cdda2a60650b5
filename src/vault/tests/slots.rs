//! Slots changed by two at once.

use super::bed::*;
use crate::crypto::kdf::Argon2Params;
use crate::crypto::slot::SlotMethod;
use crate::secret::SecretText;
use crate::store::ledger::{Change, Entry};
use crate::types::clock::UnixMs;
use crate::vault::init::make_slot;
use crate::vault::unlock::Accept;
use crate::wire::SlotSecret;
use std::collections::BTreeSet;
use std::sync::Barrier;
use std::thread;

#[test]
fn slots_that_are_added_at_the_same_time_do_not_replace_each_other() {
    let bed = Bed::empty();
    let start = Barrier::new(6);
    let ids: BTreeSet<u32> = thread::scope(|scope| {
        let adding: Vec<_> = (0..6_u8)
            .map(|at| {
                let (bed, start) = (&bed, &start);
                scope.spawn(move || {
                    let key = SlotSecret::KeyFile(SecretText::new(data_encoding::BASE64.encode(&[0x30 + at; 32])));
                    start.wait();
                    bed.vault.add_slot(key).unwrap().id
                })
            })
            .collect();
        adding.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(ids.len(), 6);
    bed.lock();
    for at in 0..6 {
        bed.vault.unlock(&key_file(&[0x30 + at; 32]), Accept::default()).unwrap();
        bed.lock();
    }
}

#[test]
fn two_who_remove_a_password_each_leave_one() {
    let bed = Bed::empty();
    let (vault_id, key) =
        bed.vault.look(|unlocked| (unlocked.keyring.vault_id(), unlocked.keyring.keys().copy_vault_key())).unwrap();
    let method = SlotMethod::Password(Argon2Params::parse(65_536, 3, 1).unwrap());
    let passwords = [3, 4].map(|id| make_slot(vault_id, id, method, 0, b"some password", key.expose()).unwrap());
    let ledger = bed.vault.ledger().unwrap();
    for _ in 0..20 {
        let entry = Entry { body: "{}".to_owned(), opens: None };
        let changes = passwords.iter().cloned().map(Change::PutSlot).collect();
        ledger.settle(ledger.enqueue(UnixMs(0), vec![entry], changes)).unwrap();
        let start = Barrier::new(2);
        let removed = thread::scope(|scope| {
            let removing = [3, 4].map(|id| {
                let (bed, start) = (&bed, &start);
                scope.spawn(move || {
                    start.wait();
                    bed.vault.remove_slot(id).is_ok()
                })
            });
            removing.map(|one| one.join().unwrap())
        });
        assert_eq!(removed.iter().filter(|removed| **removed).count(), 1);
        let left = bed.vault.slots().unwrap().into_iter().filter(|slot| slot.kind == "password").count();
        assert_eq!(left, 1);
    }
}

#[test]
fn the_last_password_stays_and_so_do_eight_slots_at_most() {
    let bed = Bed::empty();
    let add = |mark: u8| {
        let key = data_encoding::BASE64.encode(&[mark; 32]);
        bed.vault.add_slot(SlotSecret::KeyFile(SecretText::new(key)))
    };
    for mark in 3..=8 {
        add(mark).unwrap();
    }
    assert!(add(9).is_err());
    bed.vault.remove_slot(2).unwrap();
    assert!(bed.vault.remove_slot(2).is_err());
    bed.lock();
    assert!(bed.vault.unlock(&key_file(&OTHER_KEY), Accept::default()).is_err(), "a removed slot opens nothing");
}
