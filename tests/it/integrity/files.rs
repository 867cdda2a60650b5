//! Whole files: older ones, others' ones, cut ones, the schema, the anchor, the log.

use super::*;

#[test]
fn t13_an_object_that_was_added_to_the_schema_keeps_the_vault_locked() {
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
fn t08_an_older_database_is_refused_and_can_be_accepted() {
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
    let row = rounds.daemon.run(&["audit", "tail", "-n", "1"], "").ok();
    assert!(row.contains("accepted_rollback=true") && row.contains("but the anchor remembers"), "{row}");
    rounds.daemon.run(&["audit", "verify"], "").ok();
    rounds.daemon.terminate();
    let daemon = vault.serve();
    daemon.unlock_with(&vault.key_file());
    assert!(daemon.run(&["audit", "tail", "-n", "1"], "").ok().contains("accepted_rollback=false"));
}

#[test]
fn t10_a_missing_or_broken_anchor_is_refused_and_can_be_accepted_but_one_good_slot_is_enough() {
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
fn t10_an_anchor_of_another_vault_is_refused() {
    let (vault, other) = (filled(), filled());
    let rounds = Rounds::over(&vault);
    std::fs::copy(other.anchor_dir().join("anchor"), vault.anchor_dir().join("anchor")).expect("copied");
    assert_eq!(rounds.refusal("another vault's anchor").1, "vault.rollback_detected");
}

#[test]
fn t09_database_and_anchor_rolled_back_together_are_not_noticed() {
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
fn t11_a_damaged_database_is_refused() {
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
fn t25_a_flipped_bit_anywhere_in_the_database_is_refused_or_means_nothing() {
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
fn t12_a_write_ahead_log_that_is_gone_foreign_or_changed_loses_no_acknowledged_row() {
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

#[test]
fn t12_a_journal_that_was_planted_is_not_played_back() {
    let vault = filled();
    let rounds = Rounds::over(&vault);
    for content in [&b""[..], b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7", &[0; 1024]] {
        std::fs::write(vault.state_dir().join("vault.db-journal"), content).expect("planted");
        assert_eq!(rounds.refusal("a journal"), (409, "vault.storage_corrupt".to_owned()));
        rounds.restore();
    }
    rounds.unlocks();
}
