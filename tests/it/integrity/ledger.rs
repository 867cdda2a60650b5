//! Rows of the ledger.

use super::*;

#[test]
fn t22_a_ledger_row_that_was_changed_removed_added_or_moved_keeps_the_vault_locked() {
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
fn t22_the_first_ledger_row_that_does_not_follow_is_named() {
    let vault = filled();
    let daemon = vault.serve();
    vault.edit("UPDATE audit SET body = body || ' ' WHERE seq IN (3, 5)");
    let error = daemon.run(&["unlock", "--key-file", &vault.key_file()], "").fails(6);
    assert!(error.contains("the ledger is broken at row 3") && error.contains("vault.audit_broken"), "{error}");
}

#[test]
fn t22_a_ledger_that_was_cut_behind_the_anchor_keeps_the_vault_locked() {
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
