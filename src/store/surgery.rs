//! What one who can write to the database but has no key might do to it, and the code that each must be refused with.

pub(crate) mod cells;

use crate::store::file::Paths;
use rusqlite::Connection;

/// A change from outside.
pub(crate) struct Surgery {
    /// What is done.
    pub(crate) name: &'static str,
    /// How.
    pub(crate) sql: &'static str,
    /// The code of the refusal.
    pub(crate) code: &'static str,
}

const fn surgery(name: &'static str, sql: &'static str, code: &'static str) -> Surgery {
    Surgery { name, sql, code }
}

/// Every kind of change. The vault has at least two credentials, two bots and two policies, one slot, and some rows.
pub(crate) const SURGERIES: &[Surgery] = &[
    surgery(
        "a record's ciphertext",
        "UPDATE credential SET ciphertext = zeroblob(length(ciphertext))",
        "vault.tampered",
    ),
    surgery("one byte of a ciphertext", ONE_BYTE, "vault.tampered"),
    surgery("a record cut short", "UPDATE bot SET ciphertext = substr(ciphertext, 1, 16)", "vault.tampered"),
    surgery("an empty record", "UPDATE policy SET ciphertext = x''", "vault.tampered"),
    surgery("a record's salt", "UPDATE bot SET salt = zeroblob(32)", "vault.tampered"),
    surgery("a record's epoch", "UPDATE credential SET epoch = 2", "vault.tampered"),
    surgery("a record's commitment", "UPDATE bot SET commitment = zeroblob(32)", "vault.manifest_mismatch"),
    surgery("a record's version", "UPDATE policy SET version = version + 1", "vault.manifest_mismatch"),
    surgery(
        "a record's id",
        "UPDATE bot SET id = zeroblob(16) WHERE id = (SELECT min(id) FROM bot)",
        "vault.manifest_mismatch",
    ),
    surgery("two records' content swapped", SWAPPED_CONTENT, "vault.manifest_mismatch"),
    surgery("two records' ciphertexts swapped", SWAPPED_CIPHERTEXTS, "vault.tampered"),
    surgery("a record in another table", "INSERT INTO policy SELECT * FROM bot LIMIT 1", "vault.manifest_mismatch"),
    surgery("a record moved to another table", MOVED, "vault.manifest_mismatch"),
    surgery("a record twice", TWICE, "vault.manifest_mismatch"),
    surgery(
        "a credential deleted",
        "DELETE FROM credential WHERE id = (SELECT min(id) FROM credential)",
        "vault.manifest_mismatch",
    ),
    surgery("all bots deleted", "DELETE FROM bot", "vault.manifest_mismatch"),
    surgery("a negative version", "UPDATE bot SET version = -1", "vault.storage_corrupt"),
    surgery(
        "an id of another length",
        "UPDATE bot SET id = x'00' WHERE id = (SELECT min(id) FROM bot)",
        "vault.storage_corrupt",
    ),
    surgery("a slot deleted", "DELETE FROM slot WHERE slot_id = 2", "vault.manifest_mismatch"),
    surgery(
        "a slot added",
        "INSERT INTO slot SELECT 9, header, commitment, wrapped FROM slot WHERE slot_id = 2",
        "vault.manifest_mismatch",
    ),
    surgery(
        "a slot that is not in use changed",
        "UPDATE slot SET wrapped = zeroblob(48) WHERE slot_id = 2",
        "vault.manifest_mismatch",
    ),
    surgery("the slot's commitment", "UPDATE slot SET commitment = zeroblob(32) WHERE slot_id = 1", "unlock.failed"),
    surgery("the slot's wrapped key", "UPDATE slot SET wrapped = zeroblob(48) WHERE slot_id = 1", "unlock.failed"),
    surgery("a slot's header", "UPDATE slot SET header = zeroblob(83) WHERE slot_id = 2", "vault.kdf_out_of_bounds"),
    surgery("the state row's text", "UPDATE state SET body = zeroblob(length(body))", "vault.manifest_mismatch"),
    surgery("the state row's MAC", "UPDATE state SET mac = zeroblob(32)", "vault.manifest_mismatch"),
    surgery("no state row", "DELETE FROM state", "vault.manifest_mismatch"),
    surgery("a ledger row's text", "UPDATE audit SET body = body || ' ' WHERE seq = 2", "vault.audit_broken"),
    surgery("a ledger row's head", "UPDATE audit SET head = zeroblob(32) WHERE seq = 3", "vault.audit_broken"),
    surgery("a ledger row out of the middle", "DELETE FROM audit WHERE seq = 3", "vault.audit_broken"),
    surgery("two ledger rows exchanged", EXCHANGED, "vault.audit_broken"),
    surgery("the first ledger row", "DELETE FROM audit WHERE seq = 1", "vault.audit_broken"),
    surgery(
        "a ledger row at the end",
        "INSERT INTO audit SELECT max(seq) + 1, head, body FROM audit",
        "vault.audit_broken",
    ),
    surgery("the ledger's end up to the state row's point", "DELETE FROM audit WHERE seq > 3", "vault.audit_broken"),
    surgery("the whole ledger", "DELETE FROM audit", "vault.audit_broken"),
    surgery("a trigger", "CREATE TRIGGER t AFTER INSERT ON audit BEGIN DELETE FROM bot; END", "vault.schema_mismatch"),
    surgery("a view", "CREATE VIEW v AS SELECT * FROM bot", "vault.schema_mismatch"),
    surgery("an index", "CREATE INDEX i ON audit (body)", "vault.schema_mismatch"),
    surgery("a table", "CREATE TABLE t (x)", "vault.schema_mismatch"),
    surgery("a column", "ALTER TABLE bot ADD COLUMN x TEXT", "vault.schema_mismatch"),
    surgery("a table gone", "DROP TABLE setting", "vault.schema_mismatch"),
    surgery("a newer version", "PRAGMA user_version = 2", "vault.schema_mismatch"),
    surgery("another application's id", "PRAGMA application_id = 1", "vault.schema_mismatch"),
];

const ONE_BYTE: &str = "UPDATE policy SET ciphertext = CAST(
    substr(ciphertext, 1, 40) || CASE substr(ciphertext, 41, 1) WHEN x'00' THEN x'01' ELSE x'00' END
    || substr(ciphertext, 42) AS BLOB)";
const SWAPPED_CONTENT: &str = "CREATE TEMP TABLE kept AS SELECT * FROM bot ORDER BY id LIMIT 2;
    UPDATE bot SET (version, salt, commitment, ciphertext) =
        (SELECT version, salt, commitment, ciphertext FROM kept WHERE kept.id != bot.id)";
const SWAPPED_CIPHERTEXTS: &str = "CREATE TEMP TABLE kept AS SELECT * FROM bot ORDER BY id LIMIT 2;
    UPDATE bot SET ciphertext = (SELECT ciphertext FROM kept WHERE kept.id != bot.id)";
const MOVED: &str = "INSERT INTO policy SELECT * FROM bot ORDER BY id LIMIT 1;
    DELETE FROM bot WHERE id = (SELECT min(id) FROM bot)";
const TWICE: &str =
    "INSERT INTO bot SELECT zeroblob(16), version, epoch, salt, commitment, ciphertext FROM bot LIMIT 1";
const EXCHANGED: &str = "UPDATE audit SET seq = -2 WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 3;
    UPDATE audit SET seq = 3 WHERE seq = -2";

/// Does it.
pub(crate) fn operate(paths: &Paths, sql: &str) {
    let connection = Connection::open(paths.database()).unwrap();
    connection.execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// Puts one table's rows back to what they are in an older copy of the database.
pub(crate) fn restore_table(paths: &Paths, older: &std::path::Path, table: &str) {
    let older = older.display();
    operate(
        paths,
        &format!("ATTACH '{older}' AS older; DELETE FROM {table}; INSERT INTO {table} SELECT * FROM older.{table};"),
    );
}

/// Everything in the database, as text to compare.
pub(crate) fn content(paths: &Paths) -> Vec<String> {
    let connection = Connection::open(paths.database()).unwrap();
    let mut found = Vec::new();
    for table in ["slot", "credential", "bot", "policy", "setting", "audit", "state"] {
        let text = format!("SELECT * FROM {table} ORDER BY 1");
        let Ok(mut statement) = connection.prepare(&text) else { continue };
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values = (0..columns).map(|at| format!("{:?}", row.get_ref(at).unwrap()));
            found.push(format!("{table}: {}", values.collect::<Vec<_>>().join(", ")));
        }
    }
    found
}
