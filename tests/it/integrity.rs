//! Files that someone else wrote to: every change is noticed before the first signature, named, and nothing is written.

use crate::support::files::Tree;
use crate::support::http::Response;
use crate::support::{Daemon, PASSWORD, Vault};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rusqlite::params;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// What an unlock says of a vault that was changed.
type Said = (u16, String);

/// A vault with two credentials, bots and policies, some ledger rows, and a key file, so that no round pays for a hash.
fn filled() -> Vault {
    let vault = Vault::new();
    vault.with_key_file();
    let daemon = vault.serve();
    daemon.unlock_with(&vault.key_file());
    for name in ["one", "two"] {
        daemon.add_credential(name);
        let token = daemon.add_bot(&format!("bot-{name}"), name, &["read"]);
        daemon.tcp().sign(&token, name, "GET", "/api/v5/account/balance", None).ok();
    }
    daemon.terminate();
    vault
}

/// A vault that is changed and put back again and again under one locked daemon, which holds nothing of it open.
struct Rounds<'a> {
    vault: &'a Vault,
    daemon: Daemon<'a>,
    pristine: Tree,
}

impl<'a> Rounds<'a> {
    fn over(vault: &'a Vault) -> Rounds<'a> {
        let daemon = vault.serve();
        Rounds { vault, daemon, pristine: vault.files() }
    }

    fn unlock(&self, more: Value) -> Response {
        let key = BASE64_STANDARD.encode(std::fs::read(self.vault.key_file()).expect("a key"));
        let mut request = json!({ "secret": { "key_file": key } });
        request.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        self.daemon.admin().request("POST", "/v1/unlock", None, Some(&request.to_string()))
    }

    /// The answer to an unlock of the vault as it is now. Nothing may change by it.
    #[track_caller]
    fn refusal(&self, what: &str) -> Said {
        let before = self.vault.files();
        let answer = self.unlock(json!({}));
        assert_ne!(answer.status, 200, "{what}: it unlocked");
        assert!(self.vault.files() == before, "{what}: the files were changed by the refusal");
        assert_eq!(self.daemon.state(), "locked", "{what}");
        (answer.status, answer.code())
    }

    /// Puts everything back.
    fn restore(&self) {
        for path in self.vault.files().keys().filter(|path| !self.pristine.contains_key(*path)) {
            std::fs::remove_file(path).expect("removed");
        }
        for (path, (_, content)) in self.pristine.iter().filter(|(path, _)| !path.is_dir()) {
            std::fs::write(path, content).expect("written");
        }
    }

    /// Changes the database, expects this refusal, and puts everything back.
    #[track_caller]
    fn round(&self, sql: &str, code: &str) {
        self.vault.edit(sql);
        assert_eq!(self.refusal(sql), (409, code.to_owned()), "{sql}");
        self.restore();
    }

    #[track_caller]
    fn unlocks(&self) {
        let answer = self.unlock(json!({}));
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    }
}

fn blob(vault: &Vault, sql: &str) -> Vec<u8> {
    vault.database().query_row(sql, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

#[test]
fn a_record_that_was_changed_swapped_or_removed_keeps_the_vault_locked() {
    let vault = filled();
    let rounds = Rounds::over(&vault);
    for table in ["credential", "bot", "policy"] {
        let (first, second) = (format!("(SELECT min(id) FROM {table})"), format!("(SELECT max(id) FROM {table})"));
        for column in ["salt", "commitment", "ciphertext", "version", "epoch"] {
            let code =
                if ["commitment", "version"].contains(&column) { "vault.manifest_mismatch" } else { "vault.tampered" };
            if !["version", "epoch"].contains(&column) {
                rounds.round(
                    &format!(
                        "CREATE TEMP TABLE kept AS SELECT id, {column} AS value FROM {table};
                         UPDATE {table} SET {column} = (SELECT value FROM kept WHERE kept.id <> {table}.id)"
                    ),
                    code,
                );
            }
            let changed = match column {
                "version" | "epoch" => format!("{column} + 1"),
                // The byte may be any already: a change that changes nothing is no tampering.
                _ => format!(
                    "CAST(substr({column}, 1, 20) || CASE substr({column}, 21, 1) WHEN x'00' THEN x'01' ELSE x'00' END
                     || substr({column}, 22) AS BLOB)"
                ),
            };
            rounds.round(&format!("UPDATE {table} SET {column} = {changed} WHERE id = {first}"), code);
        }
        rounds.round(&format!("DELETE FROM {table} WHERE id = {first}"), "vault.manifest_mismatch");
        rounds.round(&format!("DELETE FROM {table}"), "vault.manifest_mismatch");
        rounds.round(
            &format!("UPDATE {table} SET id = x'00112233445566778899aabbccddeeff' WHERE id = {first}"),
            "vault.manifest_mismatch",
        );
        rounds.round(
            &format!(
                "CREATE TEMP TABLE kept AS SELECT * FROM {table}; DELETE FROM {table};
                 INSERT INTO {table} SELECT (SELECT id FROM kept AS other WHERE other.id <> kept.id), version, epoch, salt,
                 commitment, ciphertext FROM kept"
            ),
            "vault.manifest_mismatch",
        );
        rounds.round(&format!("UPDATE {table} SET salt = x'00' WHERE id = {second}"), "vault.storage_corrupt");
    }
    rounds.round(
        "CREATE TEMP TABLE kept AS SELECT * FROM policy; DELETE FROM policy WHERE id = (SELECT min(id) FROM policy);
         INSERT INTO credential SELECT * FROM kept WHERE id = (SELECT min(id) FROM kept)",
        "vault.manifest_mismatch",
    );
    rounds.round("INSERT INTO setting SELECT * FROM credential LIMIT 1", "vault.manifest_mismatch");
    rounds.unlocks();
}

#[test]
fn the_refusal_names_the_record_and_its_table() {
    let vault = filled();
    let rounds = Rounds::over(&vault);
    let id = blob(&vault, "SELECT min(id) FROM credential");
    vault.edit("UPDATE credential SET epoch = 2 WHERE id = (SELECT min(id) FROM credential)");
    let told = rounds.unlock(json!({})).json()["detail"].as_str().expect("a detail").to_owned();
    let shown = [data_encoding::HEXLOWER.encode(&id), data_encoding::BASE32_NOPAD.encode(&id).to_lowercase()];
    assert!(told.contains("`credential`") && shown.iter().any(|id| told.contains(id)), "{told}");
}

#[test]
fn an_older_or_revoked_record_cannot_be_put_back() {
    let vault = filled();
    let daemon = vault.serve();
    daemon.unlock_with(&vault.key_file());
    daemon.terminate();
    let column = |name: &str| blob(&vault, &format!("SELECT {name} FROM bot WHERE id = (SELECT min(id) FROM bot)"));
    let [salt, commitment, ciphertext] = ["salt", "commitment", "ciphertext"].map(column);
    let daemon = vault.serve();
    daemon.unlock_with(&vault.key_file());
    for name in ["bot-one", "bot-two"] {
        daemon.run(&["bot", "revoke", name], "").ok();
    }
    daemon.terminate();

    let rounds = Rounds::over(&vault);
    for version in [1, 2] {
        let text = "UPDATE bot SET version = ?1, salt = ?2, commitment = ?3, ciphertext = ?4 WHERE id = (SELECT min(id) FROM bot)";
        vault.database().execute(text, params![version, salt, commitment, ciphertext]).expect("changed");
        assert_eq!(rounds.refusal("the record before the revoke").1, "vault.manifest_mismatch");
        rounds.restore();
    }
    rounds.unlocks();
}

#[test]
fn a_state_row_that_was_changed_keeps_the_vault_locked() {
    let vault = filled();
    let rounds = Rounds::over(&vault);
    for sql in [
        "UPDATE state SET body = CAST(substr(body, 1, 30) || x'ff' || substr(body, 32) AS BLOB)",
        "UPDATE state SET mac = CAST(x'00' || substr(mac, 2) AS BLOB)",
        "UPDATE state SET mac = x''",
        "UPDATE state SET body = x''",
        "DELETE FROM state",
    ] {
        vault.edit(sql);
        let (status, code) = rounds.refusal(sql);
        assert_eq!(status, 409, "{sql}");
        assert!(["vault.manifest_mismatch", "vault.storage_corrupt"].contains(&code.as_str()), "{sql}: {code}");
        rounds.restore();
    }
    rounds.unlocks();
}

#[test]
fn an_object_that_was_added_to_the_schema_keeps_the_vault_locked() {
    let vault = filled();
    let rounds = Rounds::over(&vault);
    for sql in [
        "CREATE TRIGGER planted AFTER INSERT ON audit BEGIN DELETE FROM audit; END",
        "CREATE VIEW planted AS SELECT * FROM slot",
        "CREATE TABLE planted (x)",
        "CREATE INDEX planted ON audit (body)",
        "CREATE VIRTUAL TABLE planted USING fts5 (x)",
        "DROP TABLE setting",
        "ALTER TABLE setting RENAME TO settings",
        "ALTER TABLE setting ADD COLUMN planted TEXT",
        "PRAGMA user_version = 2",
        "PRAGMA user_version = 0",
        "PRAGMA application_id = 7",
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, ' STRICT', '') WHERE name = 'slot'",
    ] {
        rounds.round(sql, "vault.schema_mismatch");
    }
    rounds.unlocks();
}

#[test]
fn a_ledger_row_that_was_changed_removed_added_or_moved_keeps_the_vault_locked() {
    let vault = filled();
    let rounds = Rounds::over(&vault);
    for sql in [
        "UPDATE audit SET body = replace(body, '\"unlock\"', '\"UNLOCK\"') WHERE seq = 2",
        "UPDATE audit SET body = body || ' ' WHERE seq = 3",
        "UPDATE audit SET head = CAST(x'00' || substr(head, 2) AS BLOB) WHERE seq = 4",
        "UPDATE audit SET head = x'' WHERE seq = 4",
        "DELETE FROM audit WHERE seq = 1",
        "DELETE FROM audit WHERE seq = 3",
        "DELETE FROM audit",
        "UPDATE audit SET seq = -1 WHERE seq = 3; UPDATE audit SET seq = 3 WHERE seq = 4; UPDATE audit SET seq = 4 WHERE seq = -1",
        "CREATE TEMP TABLE kept AS SELECT * FROM audit WHERE seq IN (3, 4);
         UPDATE audit SET body = (SELECT body FROM kept WHERE kept.seq = 7 - audit.seq) WHERE seq IN (3, 4)",
        "INSERT INTO audit SELECT max(seq) + 1, head, body FROM audit",
        "INSERT INTO audit SELECT 0, head, body FROM audit WHERE seq = 1",
        "INSERT INTO audit SELECT -5, head, body FROM audit WHERE seq = 1",
        "INSERT INTO audit SELECT 1000, head, body FROM audit WHERE seq = 1",
    ] {
        vault.edit(sql);
        let (status, code) = rounds.refusal(sql);
        assert_eq!((status, code.as_str()), (409, "vault.audit_broken"), "{sql}");
        rounds.restore();
    }
    rounds.unlocks();
}

#[test]
fn the_first_ledger_row_that_does_not_follow_is_named() {
    let vault = filled();
    let daemon = vault.serve();
    vault.edit("UPDATE audit SET body = body || ' ' WHERE seq IN (3, 5)");
    let error = daemon.run(&["unlock", "--key-file", &vault.key_file()], "").fails(6);
    assert!(error.contains("the ledger is broken at row 3") && error.contains("vault.audit_broken"), "{error}");
}

#[test]
fn a_ledger_that_was_cut_behind_the_anchor_keeps_the_vault_locked() {
    let vault = filled();
    let rounds = Rounds::over(&vault);
    let last = "(SELECT max(seq) FROM audit)";
    for kept in [1, 2, 5] {
        let sql = format!("DELETE FROM audit WHERE seq > {last} - {kept}");
        vault.edit(&sql);
        let (status, code) = rounds.refusal(&sql);
        assert_eq!(status, 409);
        assert!(["vault.audit_broken", "vault.rollback_detected"].contains(&code.as_str()), "{sql}: {code}");
        rounds.restore();
    }
    rounds.unlocks();
}

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

#[test]
fn a_slot_that_asks_for_too_much_or_too_little_is_refused_before_anything_is_hashed() {
    let vault = Vault::new();
    let daemon = vault.serve();
    let header = blob(&vault, "SELECT header FROM slot");
    let big = u32::to_be_bytes;
    let cases: [&[(usize, &[u8])]; 19] = [
        &[(MEMORY, &big(8)), (PASSES, &big(1))],
        &[(MEMORY, &big(u32::MAX)), (PASSES, &big(1 << 31)), (LANES, &[255])],
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
    let before = daemon.peak_memory_kib();
    let mut times = Vec::new();
    for changed in cases.iter().chain([&shorter, &longer]) {
        vault.database().execute("UPDATE slot SET header = ?1", [changed]).expect("changed");
        let files = vault.files();
        let body = json!({ "secret": { "password": PASSWORD } }).to_string();
        let began = Instant::now();
        let answer = daemon.admin().request("POST", "/v1/unlock", None, Some(&body));
        times.push(began.elapsed());
        assert_eq!((answer.status, answer.code().as_str()), (409, "vault.kdf_out_of_bounds"));
        assert!(vault.files() == files, "no attempt is counted and nothing else changes");
    }
    times.sort();
    assert!(times[times.len() / 2] < Duration::from_millis(50), "{times:?}");
    assert!(daemon.try_unlock(PASSWORD, &[]).fails(6).contains("vault.kdf_out_of_bounds"));
    assert!(daemon.peak_memory_kib() - before < 8 * 1024);
    vault.database().execute("UPDATE slot SET header = ?1", [&header]).expect("changed");
    daemon.unlock();
}

#[test]
fn any_flipped_bit_of_a_slot_gives_one_of_two_answers() {
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
fn a_slot_that_carries_another_s_commitment_or_key_does_not_open() {
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
fn a_slot_under_another_number_keeps_the_vault_locked() {
    let vault = filled();
    let rounds = Rounds::over(&vault);
    rounds.round("UPDATE slot SET slot_id = 7 WHERE slot_id = 2", "vault.manifest_mismatch");
    rounds.round("DELETE FROM slot WHERE slot_id = 1", "vault.manifest_mismatch");
    rounds.unlocks();
}

#[test]
fn slots_of_another_vault_do_not_open_this_one() {
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

#[test]
fn an_older_database_is_refused_and_can_be_accepted() {
    let vault = filled();
    let older = std::fs::read(vault.database_path()).expect("read");
    let daemon = vault.serve();
    daemon.unlock_with(&vault.key_file());
    let newer = daemon.status();
    daemon.run(&["bot", "revoke", "bot-one"], "").ok();
    daemon.terminate();
    std::fs::write(vault.database_path(), &older).expect("rolled back");

    let rounds = Rounds::over(&vault);
    assert_eq!(rounds.refusal("an older database"), (409, "vault.rollback_detected".to_owned()));
    let error = rounds.daemon.run(&["unlock", "--key-file", &vault.key_file()], "").fails(6);
    assert!(error.contains("the anchor remembers") && error.contains("--accept-rollback"), "{error}");
    let wrong = rounds.daemon.try_unlock("not the password", &["--accept-rollback"]).fails(1);
    assert!(wrong.contains("unlock.failed"), "{wrong}");
    vault.forget_attempts();
    assert_eq!(rounds.refusal("still").1, "vault.rollback_detected");

    rounds.daemon.run(&["unlock", "--key-file", &vault.key_file(), "--accept-rollback"], "").ok();
    assert_eq!(rounds.daemon.status()["state_version"], newer["state_version"]);
    assert!(rounds.daemon.run(&["audit", "tail", "-n", "1"], "").ok().contains("accepted_rollback=true"));
    rounds.daemon.run(&["audit", "verify"], "").ok();
    rounds.daemon.terminate();
    let daemon = vault.serve();
    daemon.unlock_with(&vault.key_file());
    assert!(daemon.run(&["audit", "tail", "-n", "1"], "").ok().contains("accepted_rollback=false"));
}

#[test]
fn a_missing_or_broken_anchor_is_refused_and_can_be_accepted_but_one_good_slot_is_enough() {
    let vault = filled();
    let rounds = Rounds::over(&vault);
    let anchor = vault.anchor_dir().join("anchor");
    let whole = std::fs::read(&anchor).expect("read");
    assert_eq!(whole.len(), 512);
    for content in [None, Some(vec![]), Some(vec![0; 512]), Some(whole[..200].to_vec())] {
        match &content {
            None => std::fs::remove_file(&anchor).expect("removed"),
            Some(content) => std::fs::write(&anchor, content).expect("written"),
        }
        assert_eq!(rounds.refusal("no anchor"), (409, "vault.rollback_detected".to_owned()));
        assert_eq!(rounds.unlock(json!({ "accept_rollback": true })).status, 200);
        rounds.daemon.run(&["lock"], "").ok();
        rounds.unlocks();
        rounds.daemon.run(&["lock"], "").ok();
    }

    // Torn while the newer slot was written: the older one is behind the database, as after a crash.
    let whole = std::fs::read(&anchor).expect("read");
    for slot in [0, 1] {
        let mut torn = whole.clone();
        torn[slot * 256 + 40] ^= 1;
        std::fs::write(&anchor, &torn).expect("torn");
        rounds.unlocks();
        rounds.daemon.run(&["lock"], "").ok();
    }
}

#[test]
fn an_anchor_of_another_vault_or_a_later_one_of_this_is_refused() {
    let (vault, other) = (filled(), filled());
    let rounds = Rounds::over(&vault);
    std::fs::copy(other.anchor_dir().join("anchor"), vault.anchor_dir().join("anchor")).expect("copied");
    assert_eq!(rounds.refusal("another vault's anchor").1, "vault.rollback_detected");
}

#[test]
fn database_and_anchor_rolled_back_together_are_not_noticed() {
    let vault = filled();
    let older = vault.copy();
    let daemon = vault.serve();
    daemon.unlock_with(&vault.key_file());
    daemon.run(&["bot", "revoke", "bot-one"], "").ok();
    let newer = daemon.status()["state_version"].as_u64();
    drop(daemon);
    let daemon = older.serve();
    daemon.unlock_with(&vault.key_file());
    assert!(daemon.status()["state_version"].as_u64() < newer, "the limit that is documented: status tells it alone");
}

#[test]
fn a_damaged_database_is_refused() {
    let vault = filled();
    let rounds = Rounds::over(&vault);
    let whole = std::fs::read(vault.database_path()).expect("read");
    let pages = (1..whole.len() / 4096).map(|page| page * 4096);
    for length in [0, 1, 99, 100, 512, 4095].into_iter().chain(pages) {
        std::fs::write(vault.database_path(), &whole[..length]).expect("cut");
        let (status, code) = rounds.refusal(&format!("cut at {length}"));
        assert_eq!(status, 409, "cut at {length}");
        assert!(["vault.storage_corrupt", "vault.schema_mismatch"].contains(&code.as_str()), "cut at {length}: {code}");
        rounds.restore();
    }
    for content in [vec![0; 8192], b"not a database at all, but long enough to be looked at".repeat(200)] {
        std::fs::write(vault.database_path(), content).expect("written");
        assert_eq!(rounds.refusal("no database"), (409, "vault.storage_corrupt".to_owned()));
        rounds.restore();
    }
    rounds.unlocks();
}

#[test]
fn a_flipped_bit_anywhere_in_the_database_is_refused_or_means_nothing() {
    let vault = filled();
    let rounds = Rounds::over(&vault);
    let whole = std::fs::read(vault.database_path()).expect("read");
    let (mut refused, mut unnoticed) = (0, 0);
    for at in (0..whole.len()).step_by(whole.len() / 199) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        std::fs::write(vault.database_path(), &flipped).expect("flipped");
        let answer = rounds.unlock(json!({}));
        match answer.status {
            200 => {
                // A byte that nothing reads: then what is read is what was written.
                unnoticed += 1;
                rounds.daemon.run(&["audit", "verify"], "").ok();
                rounds.daemon.run(&["lock"], "").ok();
            }
            status => {
                assert!([403, 409].contains(&status), "byte {at}: {status} {}", answer.code());
                refused += 1;
            }
        }
        rounds.restore();
        vault.forget_attempts();
    }
    assert!(refused > 30, "{refused} refused, {unnoticed} in free space");
    rounds.unlocks();
}

#[test]
fn a_write_ahead_log_that_is_gone_foreign_or_changed_loses_no_acknowledged_row() {
    let vault = filled();
    let daemon = vault.serve();
    daemon.unlock_with(&vault.key_file());
    daemon.run(&["bot", "revoke", "bot-one"], "").ok();
    let acknowledged = daemon.status();
    daemon.kill();
    let log = vault.state_dir().join("vault.db-wal");
    let whole = std::fs::read(&log).expect("a crash leaves the log");
    let rounds = Rounds::over(&vault);
    let mut broken: Vec<Option<Vec<u8>>> = vec![None, Some(vec![]), Some(whole[..whole.len() / 2].to_vec())];
    for at in (0..whole.len()).step_by(whole.len() / 24) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        broken.push(Some(flipped));
    }
    for log_content in broken {
        match log_content {
            None => std::fs::remove_file(&log).expect("removed"),
            Some(content) => std::fs::write(&log, content).expect("written"),
        }
        let answer = rounds.unlock(json!({}));
        match answer.status {
            200 => {
                let found = rounds.daemon.status();
                assert!(found["audit_sequence"].as_u64() > acknowledged["audit_sequence"].as_u64());
                assert_eq!(found["state_version"], acknowledged["state_version"]);
                rounds.daemon.run(&["lock"], "").ok();
            }
            _ => assert_eq!((answer.status, answer.code().as_str()), (409, "vault.rollback_detected")),
        }
        rounds.restore();
        vault.forget_attempts();
    }
    rounds.unlocks();
}
