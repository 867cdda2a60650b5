//! Rows: changed byte by byte, exchanged, deleted, put back from an older copy.

use super::*;
use crate::store::surgery::cells::{Cell, cells, exchange};
use crate::store::surgery::restore_table;

/// The codes with which a changed byte of this value may be refused.
fn codes(cell: &Cell) -> &'static [&'static str] {
    match (cell.table, cell.column) {
        ("slot", "slot_id") => &["vault.manifest_mismatch"],
        // The first is the one that is opened; the second is not looked into.
        ("slot", "header") if cell.number() == 1 => &["unlock.failed", "vault.kdf_out_of_bounds"],
        ("slot", "header") => &["vault.manifest_mismatch", "vault.kdf_out_of_bounds"],
        ("slot", _) if cell.number() == 1 => &["unlock.failed"],
        ("slot", _) => &["vault.manifest_mismatch"],
        ("audit", "body") => &["vault.audit_broken", "vault.storage_corrupt"],
        ("audit", _) => &["vault.audit_broken"],
        ("state", "one") => &["vault.storage_corrupt"],
        ("state", _) => &["vault.manifest_mismatch"],
        (_, "id" | "commitment") => &["vault.manifest_mismatch"],
        (_, "version") => &["vault.manifest_mismatch", "vault.storage_corrupt"],
        (_, "epoch") => &["vault.tampered", "vault.storage_corrupt"],
        _ => &["vault.tampered"],
    }
}

/// Changes every byte of every value of a table.
fn every_byte_of(tables: &[&str]) {
    let rounds = Rounds::furnished();
    let (mut tried, mut seen) = (0, std::collections::BTreeSet::new());
    for cell in cells(&rounds.bed.paths()).iter().filter(|cell| tables.contains(&cell.table)) {
        let whole = cell.bytes();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            cell.write(&rounds.bed.paths(), &flipped);
            rounds.refuses(&format!("byte {at} of {}.{}", cell.table, cell.column), codes(cell));
        }
        tried += whole.len();
        seen.insert(cell.table);
    }
    assert!(tried > 300 && seen.len() == tables.len(), "{tried} bytes of {seen:?}");
    rounds.opens();
}

#[test]
fn t02_every_byte_of_every_credential() {
    every_byte_of(&["credential"]);
}

#[test]
fn t02_every_byte_of_every_bot() {
    every_byte_of(&["bot"]);
}

#[test]
fn t02_every_byte_of_every_policy_and_setting() {
    every_byte_of(&["policy", "setting"]);
}

#[test]
fn t02_every_byte_of_the_ledger() {
    every_byte_of(&["audit"]);
}

#[test]
fn t02_every_byte_of_the_state_row_and_the_slots() {
    every_byte_of(&["state", "slot"]);
}

#[test]
fn t02_the_refusal_names_the_record_and_its_table() {
    let rounds = Rounds::furnished();
    for cell in cells(&rounds.bed.paths()).iter().filter(|cell| cell.column == "ciphertext") {
        let mut flipped = cell.bytes();
        flipped[7] ^= 1;
        cell.write(&rounds.bed.paths(), &flipped);
        let told = rounds.refusal("a ciphertext").to_string();
        let id = cell.id().to_string();
        assert!(told.contains(&format!("`{}`", cell.table)) && told.contains(&id), "{told}, not {id}");
        rounds.put_back();
    }
    rounds.opens();
}

#[test]
fn t03_no_part_of_a_record_can_stand_in_another() {
    let rounds = Rounds::furnished();
    let pairs = [
        [("credential", 0), ("credential", 1)],
        [("bot", 0), ("bot", 1)],
        [("policy", 0), ("policy", 1)],
        [("credential", 0), ("policy", 0)],
        [("credential", 1), ("bot", 0)],
        [("policy", 1), ("bot", 1)],
        [("setting", 0), ("credential", 0)],
    ];
    let parts = [
        ("salt", "vault.tampered"),
        ("ciphertext", "vault.tampered"),
        ("salt, ciphertext", "vault.tampered"),
        ("commitment", "vault.manifest_mismatch"),
        ("salt, commitment", "vault.manifest_mismatch"),
        ("commitment, ciphertext", "vault.manifest_mismatch"),
        ("salt, commitment, ciphertext", "vault.manifest_mismatch"),
        ("version, epoch, salt, commitment, ciphertext", "vault.manifest_mismatch"),
    ];
    for pair in pairs {
        for (columns, expected) in parts {
            exchange(&rounds.bed.paths(), pair, columns);
            rounds.refuses(&format!("{columns} of {pair:?}"), &[expected]);
        }
    }
    rounds.opens();
}

#[test]
fn t03_a_record_moved_or_copied_to_another_table_is_refused() {
    let rounds = Rounds::furnished();
    let tables = ["credential", "bot", "policy", "setting"];
    for from in tables {
        for to in tables.iter().filter(|to| **to != from) {
            let copied = format!("INSERT INTO {to} SELECT * FROM {from} ORDER BY id LIMIT 1");
            rounds.round(&copied, "vault.manifest_mismatch");
            let first = format!("(SELECT min(id) FROM {from})");
            rounds.round(
                &format!(
                    "INSERT INTO {to} SELECT * FROM {from} WHERE id = {first}; DELETE FROM {from} WHERE id = {first}"
                ),
                "vault.manifest_mismatch",
            );
        }
    }
    rounds.opens();
}

/// Which policy a bot is under stands inside its sealed record, and a policy's name inside the policy's.
#[test]
fn t04_policy_references_cannot_be_exchanged() {
    let rounds = Rounds::furnished();
    exchange(&rounds.bed.paths(), [("bot", 0), ("bot", 1)], "salt, commitment, ciphertext");
    rounds.refuses("two bots' records", &["vault.manifest_mismatch"]);
    exchange(&rounds.bed.paths(), [("bot", 0), ("bot", 1)], "salt, ciphertext");
    rounds.refuses("two bots' records but for the commitment", &["vault.tampered"]);
    for table in ["policy", "bot"] {
        let renamed = format!(
            "CREATE TEMP TABLE kept AS SELECT * FROM {table}; DELETE FROM {table};
             INSERT INTO {table} SELECT (SELECT id FROM kept AS other WHERE other.id <> kept.id), version, epoch, salt,
             commitment, ciphertext FROM kept"
        );
        rounds.round(&renamed, "vault.manifest_mismatch");
    }
    rounds.opens();
}

#[test]
fn t05_no_row_can_be_deleted() {
    let rounds = Rounds::furnished();
    let keys = [("slot", "slot_id"), ("credential", "id"), ("bot", "id"), ("policy", "id"), ("setting", "id")];
    for (table, key) in keys {
        for which in ["min", "max"] {
            let code = if (table, which) == ("slot", "min") { "unlock.failed" } else { "vault.manifest_mismatch" };
            rounds.round(&format!("DELETE FROM {table} WHERE {key} = (SELECT {which}({key}) FROM {table})"), code);
        }
    }
    rounds.round("DELETE FROM state", "vault.manifest_mismatch");
    rounds.round("DELETE FROM bot; DELETE FROM credential; DELETE FROM policy", "vault.manifest_mismatch");
    rounds.opens();
}

/// A vault with everything changed since the copy that comes with it.
fn with_an_older_copy() -> (Rounds, Bed, SecretText) {
    let (bed, bob, eve) = Bed::in_memory().furnish();
    bed.vault.set_mode(Mode::ReduceOnly, None).unwrap();
    bed.lock();
    let older = bed.crash_image();
    let bed = bed.reopened();
    bed.vault.rotate_credential("main", secrets("two")).unwrap();
    bed.set_policy("trader", r#"grants = ["read"]"#);
    bed.vault.set_mode(Mode::CancelOnly, None).unwrap();
    bed.vault.revoke_bot("eve").unwrap();
    bed.vault.remove_slot(2).unwrap();
    bed.lock();
    (Rounds::over(bed, bob), older, eve)
}

#[test]
fn t06_a_revoked_or_removed_bot_cannot_be_put_back() {
    let (rounds, older, eve) = with_an_older_copy();
    let put_back = |sql: &str| {
        let older = older.paths().database();
        operate(&rounds.bed.paths(), &format!("ATTACH '{}' AS older; {sql}", older.display()));
        rounds.refuses(sql, &["vault.manifest_mismatch"]);
    };
    put_back("DELETE FROM bot; INSERT INTO bot SELECT * FROM older.bot");
    put_back(
        "DELETE FROM bot; INSERT INTO bot SELECT id, version + 1, epoch, salt, commitment, ciphertext FROM older.bot",
    );
    put_back(
        "INSERT OR IGNORE INTO bot SELECT zeroblob(16), version, epoch, salt, commitment, ciphertext FROM older.bot",
    );
    rounds.bed.unlock().unwrap();
    assert!(rounds.bed.let_in(&eve).is_err());
    rounds.bed.vault.remove_bot("eve").unwrap();
    rounds.bed.lock();
    let rounds = Rounds::over(rounds.bed, rounds.bob);
    let older = older.paths().database();
    operate(
        &rounds.bed.paths(),
        &format!("ATTACH '{}' AS older; INSERT OR IGNORE INTO bot SELECT * FROM older.bot", older.display()),
    );
    rounds.refuses("a removed bot", &["vault.manifest_mismatch"]);
    rounds.opens();
}

#[test]
fn t07_a_row_of_an_older_copy_is_refused() {
    let (rounds, older, _) = with_an_older_copy();
    let cases = [
        ("credential", "vault.manifest_mismatch"),
        ("bot", "vault.manifest_mismatch"),
        ("policy", "vault.manifest_mismatch"),
        ("setting", "vault.manifest_mismatch"),
        ("slot", "vault.manifest_mismatch"),
        ("state", "vault.manifest_mismatch"),
        ("audit", "vault.audit_broken"),
    ];
    for (table, expected) in cases {
        restore_table(&rounds.bed.paths(), &older.paths().database(), table);
        rounds.refuses(table, &[expected]);
    }
    for table in ["credential", "bot", "policy", "setting"] {
        for columns in ["salt, commitment, ciphertext", "version", "salt, ciphertext"] {
            let older = older.paths().database();
            let sql = format!(
                "ATTACH '{}' AS older; UPDATE {table} SET ({columns}) = (SELECT {columns} FROM older.{table} AS o WHERE
                 o.id = {table}.id) WHERE version > 1",
                older.display()
            );
            operate(&rounds.bed.paths(), &sql);
            rounds.refuses(&sql, &["vault.manifest_mismatch", "vault.tampered"]);
        }
    }
    rounds.opens();
}
