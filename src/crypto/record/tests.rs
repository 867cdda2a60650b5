use super::*;

use crate::crypto::kdf;
use crate::crypto::keys::{self, VaultKey};
use crate::crypto::known_answers::{KnownAnswers, hex};
use crate::secret::Arena;
use std::collections::HashMap;

const JSON: &[u8] = br#"{"secret":"22582BD0CFF14C41EDBF1AB98506286D"}"#;

fn identity() -> RecordIdentity {
    RecordIdentity { vault_id: Id([1; 16]), table: "credential", id: Id([2; 16]), version: 1, epoch: 1, kind: 1 }
}

fn subkeys_of(vault_id: Id, vault_key: &[u8; 32], epoch: u32) -> RecordKeys {
    keys::derive(&Arena::new().unwrap(), vault_id, VaultKey::parse(vault_key).unwrap(), epoch).unwrap().1
}

fn subkeys() -> RecordKeys {
    subkeys_of(identity().vault_id, &[7; 32], 1)
}

#[test]
fn the_known_record_is_made_and_opened() {
    let known = KnownAnswers::load();
    let subkeys = subkeys_of(known.vault_id(), &known.vault_key(), 1);
    for record in &known.records {
        assert_eq!(record.table, "credential");
        let identity = RecordIdentity {
            vault_id: known.vault_id(),
            table: "credential",
            id: Id(hex(&record.id).try_into().unwrap()),
            version: record.version,
            epoch: record.epoch,
            kind: record.kind,
        };
        let plaintext = hex(&record.plaintext);
        let sealed = seal_plaintext(&subkeys, &identity, &plaintext, &hex(&record.rand32).try_into().unwrap());
        assert_eq!(sealed.salt[..], hex(&record.salt));
        assert_eq!(sealed.commitment[..], hex(&record.commitment));
        assert_eq!(sealed.ciphertext, hex(&record.ciphertext));
        assert_eq!(open_plaintext(&subkeys, &identity, &sealed).unwrap()[..], plaintext);
        // Sealed properly, but not laid out as a record: the identity inside is missing.
        assert_eq!(open(&subkeys, &identity, &sealed).unwrap_err(), RecordError::Tampered);
    }
}

#[test]
fn json_of_any_length_reads_back_from_whole_blocks() {
    let subkeys = subkeys();
    for length in [0, 1, 100, 190, 191, 192, 193, 194, 195, 196, 255, 256, 257, 5000] {
        let json = vec![b'x'; length];
        let sealed = seal(&subkeys, &identity(), &json).unwrap();
        assert_eq!((sealed.ciphertext.len() - 16) % 256, 0);
        assert_eq!(open(&subkeys, &identity(), &sealed).unwrap().expose(), json);
    }
}

#[test]
fn a_record_opens_under_no_other_identity() {
    let subkeys = subkeys();
    let sealed = seal(&subkeys, &identity(), JSON).unwrap();
    let others = [
        RecordIdentity { vault_id: Id([9; 16]), ..identity() },
        RecordIdentity { table: "bot", ..identity() },
        RecordIdentity { id: Id([9; 16]), ..identity() },
        RecordIdentity { version: 2, ..identity() },
        RecordIdentity { epoch: 2, ..identity() },
        RecordIdentity { kind: 2, ..identity() },
    ];
    for other in others {
        assert_eq!(open(&subkeys, &other, &sealed).unwrap_err(), RecordError::Tampered, "{other:?}");
    }
}

#[test]
fn a_record_opens_under_no_other_keys() {
    let sealed = seal(&subkeys(), &identity(), JSON).unwrap();
    let others = [subkeys_of(identity().vault_id, &[8; 32], 1), subkeys_of(identity().vault_id, &[7; 32], 2)];
    for other in others {
        assert_eq!(open(&other, &identity(), &sealed).unwrap_err(), RecordError::Tampered);
    }
}

#[test]
fn t02_no_bit_of_a_record_can_be_flipped() {
    let subkeys = subkeys();
    let sealed = seal(&subkeys, &identity(), JSON).unwrap();
    let whole = [&sealed.salt[..], &sealed.commitment, &sealed.ciphertext].concat();
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let flipped = SealedRecord {
            salt: flipped[..32].try_into().unwrap(),
            commitment: flipped[32..64].try_into().unwrap(),
            ciphertext: flipped[64..].to_vec(),
        };
        assert_eq!(open(&subkeys, &identity(), &flipped).unwrap_err(), RecordError::Tampered, "bit {bit}");
    }
}

#[test]
fn t03_parts_of_two_records_do_not_mix() {
    let subkeys = subkeys();
    let one = seal(&subkeys, &identity(), JSON).unwrap();
    let two = seal(&subkeys, &identity(), JSON).unwrap();
    let mixed = [
        SealedRecord { salt: two.salt, ..one.clone() },
        SealedRecord { commitment: two.commitment, ..one.clone() },
        SealedRecord { ciphertext: two.ciphertext, ..one.clone() },
        SealedRecord { ciphertext: one.ciphertext[..16].to_vec(), ..one.clone() },
        SealedRecord { ciphertext: Vec::new(), ..one },
    ];
    for record in mixed {
        assert_eq!(open(&subkeys, &identity(), &record).unwrap_err(), RecordError::Tampered);
    }
}

#[test]
fn t19_repeated_random_numbers_repeat_a_salt_only_for_the_same_plaintext_in_the_same_place() {
    let subkeys = subkeys();
    let salt = |identity: &RecordIdentity, json: &[u8]| {
        seal_plaintext(&subkeys, identity, &pad(identity, json), &[0; 32]).salt
    };
    let one = salt(&identity(), b"one");
    assert_eq!(one, salt(&identity(), b"one"));
    assert_ne!(one, salt(&identity(), b"two"));
    assert_ne!(one, salt(&RecordIdentity { version: 2, ..identity() }, b"one"));
}

/// A random number generator that says the same for ever: a key and a nonce still never come twice with other content.
#[test]
fn t19_under_constant_random_numbers_no_key_and_nonce_come_twice_with_another_plaintext() {
    let subkeys = subkeys();
    let mut seen: HashMap<Vec<u8>, (Vec<u8>, SealedRecord)> = HashMap::new();
    let mut sealed_before = |identity: &RecordIdentity, json: &[u8]| {
        let plaintext = pad(identity, json);
        let sealed = seal_plaintext(&subkeys, identity, &plaintext, &[0x5a; 32]);
        let parts = kdf::hkdf_sha256::<44>(subkeys.record.expose(), &sealed.salt, &identity.aad());
        let content = mac::enc(&[&identity.aad(), &plaintext]);
        let (before, as_sealed) = seen.entry(parts.to_vec()).or_insert_with(|| (content.clone(), sealed.clone()));
        assert_eq!((&*before, &*as_sealed), (&content, &sealed), "a key and a nonce came with two plaintexts");
        seen.len()
    };
    let tables: [(&'static str, u8); 4] = [("credential", 1), ("bot", 2), ("policy", 3), ("setting", 4)];
    for (table, kind) in tables {
        for (id, version) in [(1, 1), (1, 2), (2, 1)] {
            let identity = RecordIdentity { table, kind, id: Id([id; 16]), version, ..identity() };
            for length in [0, 1, 2, 200, 300] {
                let distinct = sealed_before(&identity, &vec![b'x'; length]);
                assert_eq!(sealed_before(&identity, &vec![b'x'; length]), distinct, "the same again is the same");
                assert_eq!(sealed_before(&identity, &[&vec![b'x'; length][..], b"y"].concat()), distinct + 1);
            }
        }
    }
    assert_eq!(sealed_before(&identity(), b"last"), 4 * 3 * 5 * 2 + 1);
}

#[test]
fn two_seals_of_the_same_record_share_nothing() {
    let subkeys = subkeys();
    let (one, two) = (seal(&subkeys, &identity(), JSON).unwrap(), seal(&subkeys, &identity(), JSON).unwrap());
    assert_ne!(one.salt, two.salt);
    assert_ne!(one.commitment, two.commitment);
    assert_ne!(one.ciphertext, two.ciphertext);
}

#[test]
fn a_record_of_another_vault_or_epoch_is_not_sealed() {
    let subkeys = subkeys();
    for other in [RecordIdentity { epoch: 2, ..identity() }, RecordIdentity { vault_id: Id([9; 16]), ..identity() }] {
        assert_eq!(seal(&subkeys, &other, JSON), Err(RecordError::OtherKeys));
    }
}

#[test]
fn padding_is_exactly_what_sealing_writes() {
    let good = pad(&identity(), JSON);
    assert_eq!(unpad(&identity(), &good), Some(JSON));
    let end = good.iter().rposition(|byte| *byte == 0x80).unwrap();
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut plaintext = good.to_vec();
        change(&mut plaintext);
        unpad(&identity(), &plaintext).map(<[u8]>::to_vec)
    };
    assert_eq!(changed(&|_| ()), Some(JSON.to_vec()));
    assert_eq!(changed(&|plaintext| plaintext[end] = 0x81), None);
    assert_eq!(changed(&|plaintext| plaintext[end] = 0), None);
    assert_eq!(changed(&|plaintext| plaintext[255] = 1), None);
    assert_eq!(changed(&|plaintext| plaintext.truncate(end + 1)), None);
    assert_eq!(changed(&|plaintext| plaintext.resize(512, 0)), None);
    assert_eq!(changed(&|plaintext| plaintext.truncate(end)), None);
    assert_eq!(changed(&Vec::clear), None);
    // A length that reaches over the end.
    let length_at = identity().inner().len();
    assert_eq!(changed(&|plaintext| plaintext[length_at] = 0xff), None);
    assert_eq!(changed(&|plaintext| plaintext[length_at + 3] += 1), None);
}

#[test]
fn the_identity_inside_must_be_the_one_asked_for() {
    let subkeys = subkeys();
    // Sealed under one identity with another one inside: only a bug could make this, and it does not open.
    let inside = pad(&RecordIdentity { table: "bot", ..identity() }, JSON);
    let sealed = seal_plaintext(&subkeys, &identity(), &inside, &[0; 32]);
    assert!(open_plaintext(&subkeys, &identity(), &sealed).is_ok());
    assert_eq!(open(&subkeys, &identity(), &sealed).unwrap_err(), RecordError::Tampered);
}

#[test]
fn t75_a_record_sealed_without_random_numbers_repeats_no_salt_for_another_plaintext_or_version() {
    let subkeys = subkeys();
    let sealed = |identity: &RecordIdentity, json: &[u8]| seal_with(&subkeys, identity, json, &[0; 32]).unwrap();
    let next = RecordIdentity { version: 2, ..identity() };
    let records = [sealed(&identity(), JSON), sealed(&identity(), b"{}"), sealed(&next, JSON), sealed(&next, b"{}")];
    for (at, record) in records.iter().enumerate() {
        assert!(records[..at].iter().all(|other| other.salt != record.salt && other.commitment != record.commitment));
    }
    assert_eq!(open(&subkeys, &next, &records[2]).unwrap().expose(), JSON);
}
