//! Rows that were changed, exchanged, deleted, or put back from an older copy.

use super::*;
use rusqlite::params;

/// Another byte in the place of the 21st. It may be any already: a change that changes nothing is no tampering.
fn with_another_byte(column: &str) -> String {
    format!(
        "CAST(substr({column}, 1, 20) || CASE substr({column}, 21, 1) WHEN x'00' THEN x'01' ELSE x'00' END
         || substr({column}, 22) AS BLOB)"
    )
}

fn code_of(column: &str) -> &'static str {
    if ["commitment", "version"].contains(&column) { "vault.manifest_mismatch" } else { "vault.tampered" }
}

#[test]
fn t02_a_record_that_was_changed_keeps_the_vault_locked() {
    let vault = filled();
    let rounds = Rounds::over(&vault);
    for table in ["credential", "bot", "policy"] {
        let first = format!("(SELECT min(id) FROM {table})");
        for column in ["salt", "commitment", "ciphertext", "version", "epoch"] {
            let changed = match column {
                "version" | "epoch" => format!("{column} + 1"),
                _ => with_another_byte(column),
            };
            rounds.round(&format!("UPDATE {table} SET {column} = {changed} WHERE id = {first}"), code_of(column));
        }
        rounds.round(
            &format!("UPDATE {table} SET id = x'00112233445566778899aabbccddeeff' WHERE id = {first}"),
            "vault.manifest_mismatch",
        );
        let last = format!("(SELECT max(id) FROM {table})");
        rounds.round(&format!("UPDATE {table} SET salt = x'00' WHERE id = {last}"), "vault.storage_corrupt");
    }
    rounds.unlocks();
}

#[test]
fn t03_records_whose_parts_were_exchanged_keep_the_vault_locked() {
    let vault = filled();
    let rounds = Rounds::over(&vault);
    for table in ["credential", "bot", "policy"] {
        for column in ["salt", "commitment", "ciphertext"] {
            rounds.round(
                &format!(
                    "CREATE TEMP TABLE kept AS SELECT id, {column} AS value FROM {table};
                     UPDATE {table} SET {column} = (SELECT value FROM kept WHERE kept.id <> {table}.id)"
                ),
                code_of(column),
            );
        }
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
fn t04_bots_and_policies_that_exchanged_their_names_keep_the_vault_locked() {
    let vault = filled();
    let rounds = Rounds::over(&vault);
    for table in ["credential", "bot", "policy"] {
        rounds.round(
            &format!(
                "CREATE TEMP TABLE kept AS SELECT * FROM {table}; DELETE FROM {table};
                 INSERT INTO {table} SELECT (SELECT id FROM kept AS other WHERE other.id <> kept.id), version, epoch, salt,
                 commitment, ciphertext FROM kept"
            ),
            "vault.manifest_mismatch",
        );
    }
    rounds.unlocks();
}

#[test]
fn t05_a_record_that_is_gone_keeps_the_vault_locked() {
    let vault = filled();
    let rounds = Rounds::over(&vault);
    for table in ["credential", "bot", "policy"] {
        let first = format!("(SELECT min(id) FROM {table})");
        rounds.round(&format!("DELETE FROM {table} WHERE id = {first}"), "vault.manifest_mismatch");
        rounds.round(&format!("DELETE FROM {table}"), "vault.manifest_mismatch");
    }
    rounds.unlocks();
}

#[test]
fn t07_a_record_that_became_its_own_older_version_keeps_the_vault_locked() {
    let vault = filled();
    let older = vault.copy();
    let daemon = vault.serve();
    daemon.unlock_with(&vault.key_file());
    daemon.run(&["credential", "edit", "one", "--label", "newer"], "").ok();
    daemon.run(&["bot", "rotate", "bot-one"], "").ok();
    let policy = vault.file("newer.toml", "grants = []\n");
    daemon.run(&["policy", "set", "bot-one-policy", &policy], "").ok();
    daemon.terminate();
    let rounds = Rounds::over(&vault);
    for table in ["credential", "bot", "policy"] {
        let older = older.database_path();
        rounds.round(
            &format!(
                "ATTACH '{}' AS older; INSERT OR REPLACE INTO {table} SELECT o.* FROM older.{table} AS o JOIN {table} AS n
                 USING (id) WHERE n.version > 1",
                older.display()
            ),
            "vault.manifest_mismatch",
        );
    }
    rounds.unlocks();
}

#[test]
fn t02_the_refusal_names_the_record_and_its_table() {
    let vault = filled();
    let rounds = Rounds::over(&vault);
    let id = blob(&vault, "SELECT min(id) FROM credential");
    vault.edit("UPDATE credential SET epoch = 2 WHERE id = (SELECT min(id) FROM credential)");
    let told = rounds.unlock(json!({})).json()["detail"].as_str().expect("a detail").to_owned();
    let shown = [data_encoding::HEXLOWER.encode(&id), data_encoding::BASE32_NOPAD.encode(&id).to_lowercase()];
    assert!(told.contains("`credential`") && shown.iter().any(|id| told.contains(id)), "{told}");
}

#[test]
fn t06_an_older_or_revoked_record_cannot_be_put_back() {
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
fn t02_a_state_row_that_was_changed_keeps_the_vault_locked() {
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
