//! Looking into the ledger: pages with filters, a full check, and the rows that no single request makes.

use crate::audit::event::{Event, Text, Used};
use crate::store::ledger::Ledger;
use crate::store::ledger::reading::StoredRow;
use crate::types::clock::UnixMs;
use crate::vault::{AdminError, Vault};
use crate::wire::audit::{AuditPage, AuditQuery, AuditRow, AuditVerified};
use data_encoding::HEXLOWER;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows read at a time.
const PAGE: u32 = 1000;
/// Rows looked through in one call; the rest is asked for again.
const MAX_SCANNED: u64 = 50_000;

/// What a row must be to be shown.
struct Filter {
    bot: Option<String>,
    credential: Option<String>,
    since: Option<UnixMs>,
    denied: bool,
}

impl Filter {
    fn passes(&self, body: &str) -> bool {
        if self.bot.is_none() && self.credential.is_none() && self.since.is_none() && !self.denied {
            return true;
        }
        let Some(used) = Used::parse(body) else { return false };
        let since = self.since.is_none_or(|since| UnixMs::parse_rfc3339(&used.time).is_some_and(|time| time >= since));
        let same = |wanted: &Option<String>, found: &Option<Text<'_>>| {
            wanted.is_none() || wanted.as_deref() == found.as_deref()
        };
        since
            && same(&self.bot, &used.bot)
            && same(&self.credential, &used.credential)
            && (!self.denied || used.decision.as_deref() == Some("deny"))
    }
}

impl Vault {
    /// A page of the ledger.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] for a query that can't be; [`AdminError::Locked`].
    pub fn audit_rows(&self, query: AuditQuery) -> Result<AuditPage, AdminError> {
        let limit = query.limit.unwrap_or(100);
        if !(1..=1000).contains(&limit) {
            return Err(AdminError::invalid("that many rows can't be had at once", "ask for 1 to 1000"));
        }
        let since = match query.since.as_deref().map(UnixMs::parse_rfc3339) {
            Some(None) => return Err(AdminError::invalid("`since` is no date", "write 2026-01-31T00:00:00Z")),
            since => since.flatten(),
        };
        let denied = query.denied.unwrap_or(false);
        let filter = Filter { bot: query.bot, credential: query.credential, since, denied };
        let ledger = self.ledger()?;
        match query.newest.unwrap_or(false) {
            true => newest(&ledger, &filter, limit as usize),
            false => oldest(&ledger, &filter, query.after.unwrap_or(0), limit as usize),
        }
    }

    /// Checks every row.
    ///
    /// # Errors
    /// [`AdminError::Integrity`] names the first row that does not follow.
    pub fn audit_verify(&self) -> Result<AuditVerified, AdminError> {
        let verified = self.ledger()?.verify()?;
        let last = verified.last;
        let rows = (last.seq + 1).saturating_sub(verified.first);
        Ok(AuditVerified { rows, first: verified.first, last: last.seq, head: HEXLOWER.encode(&last.head) })
    }

    /// Notes requests that were refused before an ask was known, added up over a minute.
    ///
    /// # Errors
    /// [`AdminError::Locked`], [`AdminError::Unavailable`].
    pub fn audit_refused(&self, peer: &str, counts: &BTreeMap<String, u64>) -> Result<(), AdminError> {
        self.note(Event::Refused { peer, counts })
    }

    /// The ledger of an unlocked vault.
    pub(crate) fn ledger(&self) -> Result<Arc<Ledger>, AdminError> {
        self.look(|unlocked| unlocked.ledger.clone())
    }
}

fn oldest(ledger: &Ledger, filter: &Filter, after: u64, limit: usize) -> Result<AuditPage, AdminError> {
    let mut rows = Vec::new();
    let mut at = after;
    while at - after < MAX_SCANNED {
        let page = ledger.rows(at, PAGE)?;
        let Some(last) = page.last().map(|row| row.seq) else { return Ok(AuditPage { rows, next_after: None }) };
        for row in page {
            at = row.seq;
            if filter.passes(&row.body) {
                rows.push(shown(row));
            }
            if rows.len() == limit {
                return Ok(AuditPage { rows, next_after: Some(at) });
            }
        }
        at = last;
    }
    Ok(AuditPage { rows, next_after: Some(at) })
}

fn newest(ledger: &Ledger, filter: &Filter, limit: usize) -> Result<AuditPage, AdminError> {
    let tail = ledger.standing().tail.seq;
    let mut rows = Vec::new();
    let mut end = tail;
    while end > 0 && rows.len() < limit && tail - end < MAX_SCANNED {
        let start = end.saturating_sub(u64::from(PAGE));
        let page = ledger.rows(start, PAGE)?.into_iter().filter(|row| row.seq <= end && filter.passes(&row.body));
        let page: Vec<AuditRow> = page.map(shown).collect();
        rows.extend(page.into_iter().rev());
        end = start;
    }
    rows.truncate(limit);
    rows.reverse();
    Ok(AuditPage { rows, next_after: None })
}

fn shown(row: StoredRow) -> AuditRow {
    AuditRow { seq: row.seq, head: HEXLOWER.encode(&row.head), body: row.body }
}
