//! All rows after a point, for an unlock, which waits for this. Of a long chain a helper thread works out both chains while
//! the caller reads the next rows and looks at those that have followed: the two take about as long. The helper has ended
//! when the call returns, and where no thread can be had the caller does everything.

use super::{PAGE, ROWS, blob, follow_rows, text};
use crate::audit::chain::Point;
use crate::crypto::keys::LedgerKeys;
use crate::crypto::mac::Keyed;
use crate::store::{IntegrityError, StoreError};
use crate::types::id::Id;
use rusqlite::{Connection, params};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// Some rows as they were read.
#[derive(Default)]
struct Page {
    /// Sequence number, head, and where the text ends in `bodies`.
    rows: Vec<(u64, Vec<u8>, usize)>,
    /// The texts, one after the other.
    bodies: String,
    /// The points after the rows that follow, once that is known.
    points: Vec<Point>,
}

/// Follows every row after a point. `each` sees every row that follows, with the point after it.
///
/// # Errors
/// [`IntegrityError::Audit`] names the first row that does not follow.
pub fn follow_all(
    connection: &Connection,
    keys: &LedgerKeys,
    vault_id: &Id,
    start: Point,
    each: &mut dyn FnMut(&Point, &str),
) -> Result<Point, StoreError> {
    // Of most ledgers this is all.
    let at = follow_page(connection, keys, vault_id, start, each)?;
    if at.link.seq < start.link.seq + u64::from(PAGE) {
        return Ok(at);
    }
    thread::scope(|scope| {
        let ((give, given), (tell, told)) = (sync_channel(1), sync_channel(1));
        let helper = move || follow_pages(keys, vault_id, at, &given, &tell);
        match thread::Builder::new().spawn_scoped(scope, helper) {
            Ok(_) => with_helper(connection, at, &give, &told, each),
            Err(_) => without_helper(connection, keys, vault_id, at, each),
        }
    })
}

fn follow_page(
    connection: &Connection,
    keys: &LedgerKeys,
    vault_id: &Id,
    at: Point,
    each: &mut dyn FnMut(&Point, &str),
) -> Result<Point, StoreError> {
    let mut each = |point: &Point, body: &str| {
        each(point, body);
        true
    };
    follow_rows(connection, keys, vault_id, at, PAGE, &mut each)
}

fn without_helper(
    connection: &Connection,
    keys: &LedgerKeys,
    vault_id: &Id,
    mut at: Point,
    each: &mut dyn FnMut(&Point, &str),
) -> Result<Point, StoreError> {
    loop {
        let next = follow_page(connection, keys, vault_id, at, each)?;
        if next == at {
            return Ok(at);
        }
        at = next;
    }
}

/// The caller's part: reads one page ahead.
fn with_helper(
    connection: &Connection,
    mut at: Point,
    give: &SyncSender<Page>,
    told: &Receiver<Result<Page, IntegrityError>>,
    each: &mut dyn FnMut(&Point, &str),
) -> Result<Point, StoreError> {
    let (mut read_to, mut spare, mut is_under_way) = (at.link.seq, Page::default(), false);
    loop {
        let page = std::mem::take(&mut spare).read(connection, read_to)?;
        let has_more = page.rows.last().map(|(seq, ..)| read_to = *seq).is_some();
        // Nobody takes it once a row did not follow; why, is told below.
        let _ = has_more.then(|| give.send(page));
        if is_under_way {
            let followed = told.recv().map_err(|_| IntegrityError::Audit { seq: at.link.seq + 1 })??;
            followed.rows_with_points().for_each(|(point, body)| each(point, body));
            at = followed.points.last().copied().unwrap_or(at);
            spare = followed;
        }
        if !has_more {
            return Ok(at);
        }
        is_under_way = true;
    }
}

/// The helper's part.
fn follow_pages(
    keys: &LedgerKeys,
    vault_id: &Id,
    mut at: Point,
    given: &Receiver<Page>,
    tell: &SyncSender<Result<Page, IntegrityError>>,
) {
    while let Ok(page) = given.recv() {
        let followed = page.follow(keys, vault_id, at);
        at = followed.as_ref().ok().and_then(|page| page.points.last().copied()).unwrap_or(at);
        let is_broken = followed.is_err();
        if tell.send(followed).is_err() || is_broken {
            return;
        }
    }
}

impl Page {
    /// The rows after `after`, in the place of those that it held.
    fn read(mut self, connection: &Connection, after: u64) -> Result<Page, StoreError> {
        self.rows.clear();
        self.bodies.clear();
        self.points.clear();
        let mut statement = connection.prepare_cached(ROWS)?;
        let mut rows = statement.query(params![after as i64, PAGE])?;
        while let Some(row) = rows.next()? {
            self.bodies.push_str(text(row, 2)?);
            self.rows.push((row.get::<_, i64>(0)? as u64, blob(row, 1)?.to_vec(), self.bodies.len()));
        }
        Ok(self)
    }

    fn bodies(&self) -> impl Iterator<Item = &str> {
        let ends = self.rows.iter().map(|(.., end)| *end);
        let starts = std::iter::once(0).chain(ends.clone());
        starts.zip(ends).map(|(start, end)| &self.bodies[start..end])
    }

    fn follow(mut self, keys: &LedgerKeys, vault_id: &Id, mut at: Point) -> Result<Page, IntegrityError> {
        let mut points = std::mem::take(&mut self.points);
        // Made ready once for all rows of a page that it chained: of nearly every page, all.
        let mut key = keys.audit_key(at.link.seq + 1);
        let mut keyed = Keyed::new(key);
        for ((seq, head, _), body) in self.rows.iter().zip(self.bodies()) {
            let due = at.link.seq + 1;
            if !std::ptr::eq(key, keys.audit_key(due)) {
                key = keys.audit_key(due);
                keyed = Keyed::new(key);
            }
            at = at.follow(&keyed, vault_id, *seq, head, body).ok_or(IntegrityError::Audit { seq: due })?;
            points.push(at);
        }
        Ok(Page { points, ..self })
    }

    fn rows_with_points(&self) -> impl Iterator<Item = (&Point, &str)> {
        self.points.iter().zip(self.bodies())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::keys::{self, VaultKey};
    use crate::secret::Arena;

    const VAULT: Id = Id([9; 16]);
    const ROWS_HERE: u64 = 3 * PAGE as u64 + 400;

    fn keys() -> LedgerKeys {
        keys::derive(&Arena::new().unwrap(), VAULT, VaultKey::generate().unwrap(), 1).unwrap().0
    }

    /// A ledger of so many rows, and the point after the last.
    fn ledger(keys: &LedgerKeys, rows: u64) -> (Connection, Point) {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE audit (seq INTEGER PRIMARY KEY, head BLOB, body TEXT); BEGIN").unwrap();
        let mut at = Point::START;
        for number in 1..=rows {
            let body = format!("row {number}");
            at = at.next(keys.audit_key(number), &VAULT, &body);
            let row = params![number as i64, at.link.head, body];
            connection.execute("INSERT INTO audit VALUES (?1, ?2, ?3)", row).unwrap();
        }
        connection.execute_batch("COMMIT").unwrap();
        (connection, at)
    }

    fn follow(connection: &Connection, keys: &LedgerKeys, from: Point) -> (Result<Point, StoreError>, Vec<String>) {
        let mut seen = Vec::new();
        let end = follow_all(connection, keys, &VAULT, from, &mut |point, body| {
            assert_eq!(body, format!("row {}", point.link.seq));
            seen.push(body.to_owned());
        });
        (end, seen)
    }

    #[test]
    fn every_row_is_seen_once_and_in_order_however_many_there_are() {
        let keys = keys();
        let page = u64::from(PAGE);
        for rows in [0, 1, page - 1, page, page + 1, 2 * page, 2 * page + 1, ROWS_HERE] {
            let (connection, end) = ledger(&keys, rows);
            let (found, seen) = follow(&connection, &keys, Point::START);
            assert_eq!(found.unwrap(), end, "{rows}");
            assert_eq!(seen, (1..=rows).map(|number| format!("row {number}")).collect::<Vec<_>>());
            let alone = without_helper(&connection, &keys, &VAULT, Point::START, &mut |_, _| ()).unwrap();
            assert_eq!(alone, end, "{rows}");
        }
    }

    #[test]
    fn the_first_row_that_does_not_follow_is_named_wherever_it_stands_and_none_from_there_on_is_seen() {
        let keys = keys();
        let page = u64::from(PAGE);
        let edits = [
            "UPDATE audit SET body = 'row x' WHERE seq = ",
            "UPDATE audit SET head = zeroblob(32) WHERE seq = ",
            "UPDATE audit SET head = x'00' WHERE seq = ",
            "DELETE FROM audit WHERE seq = ",
        ];
        for edit in edits {
            for at in [1, page, page + 1, page + 500, 2 * page, 2 * page + 1, 3 * page + 1, ROWS_HERE - 1] {
                let (connection, _) = ledger(&keys, ROWS_HERE);
                connection.execute_batch(&format!("{edit}{at}")).unwrap();
                let (found, seen) = follow(&connection, &keys, Point::START);
                let named = matches!(&found, Err(StoreError::Integrity(IntegrityError::Audit { seq })) if *seq == at);
                assert!(named, "{edit}{at}: {found:?}");
                assert!((seen.len() as u64) < at, "{edit}{at}");
            }
        }
    }

    #[test]
    fn rows_of_earlier_keys_follow_wherever_the_key_changed() {
        let page = u64::from(PAGE);
        for last in [1, page, page + 1, page + 500, 2 * page, ROWS_HERE - 1] {
            let (mut keys, before) = (keys(), keys());
            keys.retired.push(before.retiring(last));
            let (connection, end) = ledger(&keys, ROWS_HERE);
            let (found, seen) = follow(&connection, &keys, Point::START);
            assert_eq!(found.unwrap(), end, "{last}");
            assert_eq!(seen.len() as u64, ROWS_HERE);
            keys.retired.clear();
            assert!(follow(&connection, &keys, Point::START).0.is_err(), "{last}");
        }
    }

    #[test]
    fn a_value_of_another_type_is_refused_and_the_helper_ends() {
        let keys = keys();
        for edit in ["body = x'ff'", "body = 7", "head = 'text'", "head = NULL"] {
            let (connection, _) = ledger(&keys, ROWS_HERE);
            connection.execute_batch(&format!("UPDATE audit SET {edit} WHERE seq = 2500")).unwrap();
            assert!(follow(&connection, &keys, Point::START).0.is_err(), "{edit}");
        }
    }
}
