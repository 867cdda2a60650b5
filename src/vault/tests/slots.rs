//! Slots changed by two at once.

use super::bed::*;
use crate::crypto::kdf::Argon2Params;
use crate::crypto::slot::{SlotKind, SlotMethod};
use crate::secret::{SecretBytes, SecretText};
use crate::store::ledger::{Change, Entry};
use crate::types::clock::UnixMs;
use crate::vault::init::make_slot;
use crate::vault::unlock::{Accept, SlotKey};
use crate::wire::{PasswordChange, SlotSecret};
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

/// Which of two passwords opens the locked vault.
fn opening(bed: &Bed, passwords: [&str; 2]) -> Vec<bool> {
    let opens = |password: &str| {
        bed.clock.pass(60_000);
        let secret = SecretBytes::new(password.as_bytes().to_vec());
        let opened = bed.vault.unlock(&SlotKey { kind: SlotKind::Password, secret }, Accept::default()).is_ok();
        bed.lock();
        opened
    };
    passwords.map(opens).to_vec()
}

#[test]
fn t21_of_the_old_and_the_new_password_exactly_one_opens_whatever_the_disk_does() {
    let bed = Bed::empty();
    let (old, new) = ("an old password", "a new password");
    let (vault_id, key) =
        bed.vault.look(|unlocked| (unlocked.keyring.vault_id(), unlocked.keyring.keys().copy_vault_key())).unwrap();
    let method = SlotMethod::Password(Argon2Params::parse(65_536, 3, 1).unwrap());
    let slot = make_slot(vault_id, 3, method, 0, old.as_bytes(), key.expose()).unwrap();
    let ledger = bed.vault.ledger().unwrap();
    let entry = Entry { body: "{}".to_owned(), opens: None };
    ledger.settle(ledger.enqueue(UnixMs(0), vec![entry], vec![Change::PutSlot(slot)])).unwrap();

    let change = |bed: &Bed| {
        let text = |text: &str| SecretText::new(text.to_owned());
        bed.vault.change_password(PasswordChange { old: text(old), new: text(new), rotate_key: false })
    };
    ledger.refuse_next_write();
    assert!(change(&bed).is_err());
    drop(ledger);
    let bed = bed.restarted();
    assert_eq!(opening(&bed, [old, new]), [true, false], "the disk refused it");
    bed.clock.pass(60_000);
    bed.unlock().unwrap();
    change(&bed).unwrap();
    let bed = bed.crash_image();
    assert_eq!(opening(&bed, [old, new]), [false, true], "it was acknowledged");
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

#[test]
fn a_slot_that_was_put_into_the_file_of_an_open_vault_does_not_become_one_of_its_own() {
    for what in ["a change of a record", "a change of a slot", "a new vault key"] {
        let (bed, _, _) = Bed::furnished();
        let ledger = bed.vault.ledger().unwrap();
        // A slot that was removed wraps the same vault key, and whoever has an old copy of the file has its row.
        let mut kept = ledger.slots().unwrap();
        let (header, commitment, wrapped) = kept.remove(1);
        bed.vault.remove_slot(2).unwrap();
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        ledger.run(&format!(
            "INSERT INTO slot (slot_id, header, commitment, wrapped) VALUES (2, x'{}', x'{}', x'{}')",
            hex(&header),
            hex(&commitment),
            hex(&wrapped)
        ));
        let changed = match what {
            "a change of a record" => bed.vault.add_credential(credential("new", "n")).is_ok(),
            "a change of a slot" => {
                let key = SlotSecret::KeyFile(SecretText::new(data_encoding::BASE64.encode(&[0x35; 32])));
                bed.vault.add_slot(key).is_ok()
            }
            _ => bed.vault.rotate_key(&key_file(&KEY), &key_file(&[0x36; 32])).is_ok(),
        };
        assert!(!changed, "{what}");
        drop(ledger);
        let bed = bed.restarted();
        assert!(bed.vault.unlock(&key_file(&OTHER_KEY), Accept::default()).is_err(), "{what}");
    }
}
