//! Every value of every row of a database, to be changed a byte at a time.

use crate::store::file::Paths;
use crate::types::id::Id;
use rusqlite::types::Value;
use rusqlite::{Connection, params};

/// Every table and its columns, the key first.
const TABLES: [(&str, &[&str]); 7] = [
    ("slot", &["slot_id", "header", "commitment", "wrapped"]),
    ("credential", RECORD),
    ("bot", RECORD),
    ("policy", RECORD),
    ("setting", RECORD),
    ("audit", &["seq", "head", "body"]),
    ("state", &["one", "body", "mac"]),
];
const RECORD: &[&str] = &["id", "version", "epoch", "salt", "commitment", "ciphertext"];

/// One value.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    /// Its table.
    pub(crate) table: &'static str,
    /// Its column.
    pub(crate) column: &'static str,
    /// What stands in the key's column of its row.
    key: Value,
    value: Value,
}

impl Cell {
    /// The value as bytes; a number as eight, the highest first.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        match &self.value {
            Value::Integer(number) => number.to_be_bytes().to_vec(),
            Value::Blob(bytes) => bytes.clone(),
            Value::Text(text) => text.clone().into_bytes(),
            other => panic!("{other:?} in {}.{}", self.table, self.column),
        }
    }

    /// The key of its row when that is a number.
    pub(crate) fn number(&self) -> i64 {
        match self.key {
            Value::Integer(number) => number,
            _ => 0,
        }
    }

    /// The key of its row when that is an id.
    pub(crate) fn id(&self) -> Id {
        match &self.key {
            Value::Blob(id) => Id(id.as_slice().try_into().unwrap()),
            other => panic!("{other:?}"),
        }
    }

    /// Puts other bytes in its place, as one who may write to the file can: whatever the schema forbids.
    pub(crate) fn write(&self, paths: &Paths, bytes: &[u8]) {
        let key = TABLES.iter().find(|(table, _)| *table == self.table).unwrap().1[0];
        let (value, cast) = match &self.value {
            Value::Integer(_) => (Value::Integer(i64::from_be_bytes(bytes.try_into().unwrap())), "?1"),
            Value::Text(_) => (Value::Blob(bytes.to_vec()), "CAST(?1 AS TEXT)"),
            _ => (Value::Blob(bytes.to_vec()), "?1"),
        };
        let connection = Connection::open(paths.database()).unwrap();
        connection.execute_batch("PRAGMA ignore_check_constraints = ON; PRAGMA synchronous = OFF").unwrap();
        let text = format!("UPDATE {} SET {} = {cast} WHERE {key} = ?2", self.table, self.column);
        assert_eq!(connection.execute(&text, params![value, self.key]).unwrap(), 1, "{text}");
    }
}

/// Every value of every row.
pub(crate) fn cells(paths: &Paths) -> Vec<Cell> {
    let connection = Connection::open(paths.database()).unwrap();
    let mut found = Vec::new();
    for (table, columns) in TABLES {
        let mut statement = connection.prepare(&format!("SELECT {} FROM {table}", columns.join(", "))).unwrap();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let key: Value = row.get(0).unwrap();
            found.extend(columns.iter().enumerate().map(|(at, column)| Cell {
                table,
                column,
                key: key.clone(),
                value: row.get(at).unwrap(),
            }));
        }
    }
    found
}

/// Exchanges columns between two rows, of one table or of two, as one who may write to the file can.
pub(crate) fn exchange(paths: &Paths, [one, other]: [(&str, usize); 2], columns: &str) {
    let mut connection = Connection::open(paths.database()).unwrap();
    let transaction = connection.transaction().unwrap();
    let names: Vec<&str> = columns.split(", ").collect();
    let mut rows = [one, other].map(|(table, at)| {
        let text = format!("SELECT id, {columns} FROM {table} ORDER BY id LIMIT 1 OFFSET {at}");
        let read = |row: &rusqlite::Row<'_>| (0..=names.len()).map(|at| row.get(at)).collect();
        (table, transaction.query_row(&text, [], read).map(|row: Vec<Value>| row).unwrap())
    });
    let [first, second] = &mut rows;
    first.1[1..].swap_with_slice(&mut second.1[1..]);
    for (table, row) in rows {
        let set: Vec<String> = names.iter().enumerate().map(|(at, name)| format!("{name} = ?{}", at + 2)).collect();
        let text = format!("UPDATE {table} SET {} WHERE id = ?1", set.join(", "));
        transaction.execute(&text, rusqlite::params_from_iter(row)).unwrap();
    }
    transaction.commit().unwrap();
}
