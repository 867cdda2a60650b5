//! Slots: what opens the vault, and what it may cost to try.

use super::*;
use crate::support::PASSWORD;
use std::time::{Duration, Instant};

/// Where the numbers of a slot's header stand.
const KDF: usize = 27;
const MEMORY: usize = 28;
const PASSES: usize = 32;
const LANES: usize = 36;

fn header_with(header: &[u8], changes: &[(usize, &[u8])]) -> Vec<u8> {
    let mut header = header.to_vec();
    for (at, bytes) in changes {
        header[*at..at + bytes.len()].copy_from_slice(bytes);
    }
    header
}

/// A vault with this header in its slot, refused before anything is hashed. Says how long it took.
fn refused_at_once(vault: &Vault, daemon: &Daemon, header: &[u8]) -> Duration {
    vault.database().execute("UPDATE slot SET header = ?1", [header]).expect("changed");
    let files = vault.files();
    let body = json!({ "secret": { "password": PASSWORD } }).to_string();
    let began = Instant::now();
    let answer = daemon.admin().request("POST", "/v1/unlock", None, Some(&body));
    let took = began.elapsed();
    assert_eq!((answer.status, answer.code().as_str()), (409, "vault.kdf_out_of_bounds"));
    assert!(vault.files() == files, "no attempt is counted and nothing else changes");
    took
}

#[test]
fn t15_a_slot_that_asks_for_too_much_or_too_little_is_refused_before_anything_is_hashed() {
    let vault = Vault::new();
    let daemon = vault.serve();
    let header = blob(&vault, "SELECT header FROM slot");
    let big = u32::to_be_bytes;
    let cases: [&[(usize, &[u8])]; 18] = [
        &[(MEMORY, &big(8)), (PASSES, &big(1))],
        &[(MEMORY, &big(65_535))],
        &[(MEMORY, &big(1_048_577))],
        &[(MEMORY, &big(0))],
        &[(PASSES, &big(0))],
        &[(PASSES, &big(2))],
        &[(PASSES, &big(11))],
        &[(LANES, &[0])],
        &[(LANES, &[9])],
        &[(KDF, &[0])],
        &[(KDF, &[2])],
        &[(KDF, &[3])],
        &[(26, &[0])],
        &[(26, &[4])],
        &[(26, &[2])],
        &[(8, &[0, 2])],
        &[(0, b"X")],
        &[(69, &[0, 1])],
    ];
    let cases = cases.map(|changes| header_with(&header, changes));
    let shorter = header[..82].to_vec();
    let longer = [&header[..], b"\0"].concat();
    let all = cases.iter().chain([&shorter, &longer]);
    let mut times: Vec<Duration> = all.map(|changed| refused_at_once(&vault, &daemon, changed)).collect();
    times.sort();
    assert!(times[times.len() / 2] < Duration::from_millis(50), "{times:?}");
    let told = daemon.try_unlock(PASSWORD, &[]).fails(6);
    assert!(told.contains("vault.kdf_out_of_bounds") && !told.contains(PASSWORD), "{told}");
    vault.database().execute("UPDATE slot SET header = ?1", [&header]).expect("changed");
    daemon.unlock();
    daemon.run(&["password", "change", "--stdin"], &format!("{PASSWORD}\nanother long password\n")).ok();
    assert!(daemon.run(&["slot", "list"], "").ok().contains("Argon2id 256 MiB, t=3, p=4"), "today's default at least");
}

#[test]
fn t16_a_slot_that_asks_for_all_there_is_gets_no_memory_and_no_time() {
    let vault = Vault::new();
    let daemon = vault.serve();
    let header = blob(&vault, "SELECT header FROM slot");
    let all: [(usize, &[u8]); 3] = [(MEMORY, &[0xff; 4]), (PASSES, &[0x80, 0, 0, 0]), (LANES, &[0xff])];
    let greedy = header_with(&header, &all);
    // The first refusal takes what every request takes.
    refused_at_once(&vault, &daemon, &header_with(&header, &[(0, b"X")]));
    let before = daemon.peak_memory_kib();
    let mut times: Vec<Duration> = (0..20).map(|_| refused_at_once(&vault, &daemon, &greedy)).collect();
    for one in all {
        times.push(refused_at_once(&vault, &daemon, &header_with(&header, &[one])));
    }
    times.sort();
    assert!(times[times.len() / 2] < Duration::from_millis(50), "{times:?}");
    let grown = daemon.peak_memory_kib() - before;
    assert!(grown < 1024, "{grown} KiB were taken");
    vault.database().execute("UPDATE slot SET header = ?1", [&header]).expect("changed");
    daemon.unlock();
}

/// Ciphertexts that GCM opens under several keys: only the commitment says which of them was meant.
#[test]
fn t17_a_ciphertext_that_opens_under_many_keys_opens_under_none() {
    let vault = filled();
    let rounds = Rounds::over(&vault);
    let bytes = |text: &Value| data_encoding::HEXLOWER.decode(text.as_str().expect("hex").as_bytes()).expect("hex");
    let files = [
        (include_str!("../../vectors/gcm_multikey_2.json"), (403, "unlock.failed")),
        // It is longer than a wrapped key.
        (include_str!("../../vectors/gcm_multikey_4.json"), (409, "vault.kdf_out_of_bounds")),
    ];
    for (text, expected) in files {
        let vector: Value = serde_json::from_str(text).expect("JSON");
        let wrapped = bytes(&vector["ct_tag"]);
        let keys = vector["keys"].as_array().expect("keys").iter().map(bytes);
        for key in keys.chain([std::fs::read(vault.key_file()).expect("a key")]) {
            vault.database().execute("UPDATE slot SET wrapped = ?1 WHERE slot_id = 2", [&wrapped]).expect("changed");
            let body = json!({ "secret": { "key_file": BASE64_STANDARD.encode(key) } }).to_string();
            let answer = rounds.daemon.admin().request("POST", "/v1/unlock", None, Some(&body));
            assert_eq!((answer.status, answer.code().as_str()), expected);
            rounds.restore();
            vault.forget_attempts();
        }
    }
    rounds.unlocks();
}

#[test]
fn t01_any_flipped_bit_of_a_slot_gives_one_of_two_answers() {
    let vault = filled();
    let rounds = Rounds::over(&vault);
    let mut answers = Vec::new();
    for (column, bytes) in [("header", 83), ("commitment", 32), ("wrapped", 48)] {
        let whole = blob(&vault, &format!("SELECT {column} FROM slot WHERE slot_id = 2"));
        assert_eq!(whole.len(), bytes);
        let update = format!("UPDATE slot SET {column} = ?1 WHERE slot_id = 2");
        let write = |bytes: &[u8]| {
            let connection = vault.database();
            connection.pragma_update(None, "synchronous", "OFF").expect("not synced");
            connection.execute(&update, [bytes]).expect("changed");
        };
        for at in 0..bytes {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            write(&flipped);
            let answer = rounds.unlock(json!({}));
            assert!([403, 409].contains(&answer.status), "{column} {at}: {}", answer.status);
            answers.push(String::from_utf8(answer.body).expect("UTF-8"));
            vault.forget_attempts();
        }
        write(&whole);
    }
    answers.sort();
    answers.dedup();
    assert_eq!(answers.len(), 2, "{answers:?}");
    rounds.unlocks();
}

#[test]
fn t18_a_slot_that_carries_another_s_commitment_or_key_does_not_open() {
    let vault = Vault::new();
    let key = vault.with_key_file();
    let daemon = vault.serve();
    let whole = std::fs::read(vault.database_path()).expect("read");
    for columns in ["commitment", "wrapped", "header", "commitment, wrapped"] {
        vault.edit(&format!(
            "CREATE TEMP TABLE kept AS SELECT * FROM slot;
             UPDATE slot SET ({columns}) = (SELECT {columns} FROM kept WHERE kept.slot_id <> slot.slot_id)"
        ));
        for (arguments, stdin) in [(&["--stdin"][..], PASSWORD), (&["--key-file", &key], "")] {
            let refused = daemon.run(&[&["unlock"], arguments].concat(), stdin).fails(1);
            assert!(refused.contains("unlock.failed"), "{columns}: {refused}");
            vault.forget_attempts();
        }
        std::fs::write(vault.database_path(), &whole).expect("put back");
    }
    daemon.unlock();
}

#[test]
fn t05_a_slot_that_is_gone_or_under_another_number_keeps_the_vault_locked() {
    let vault = filled();
    let rounds = Rounds::over(&vault);
    rounds.round("UPDATE slot SET slot_id = 7 WHERE slot_id = 2", "vault.manifest_mismatch");
    rounds.round("DELETE FROM slot WHERE slot_id = 1", "vault.manifest_mismatch");
    rounds.unlocks();
}

#[test]
fn t18_slots_of_another_vault_do_not_open_this_one() {
    let (mine, theirs) = (filled(), filled());
    let rounds = Rounds::over(&mine);
    mine.database()
        .execute_batch(&format!(
            "ATTACH '{}' AS theirs; DELETE FROM slot; INSERT INTO slot SELECT * FROM theirs.slot",
            theirs.database_path().display()
        ))
        .expect("changed");
    std::fs::copy(theirs.key_file(), mine.key_file()).expect("copied");
    assert_eq!(rounds.refusal("another vault's slots"), (409, "vault.manifest_mismatch".to_owned()));
}
