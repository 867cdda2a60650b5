//! Checkpoints, what an unlock verifies because of them and what it leaves for later, and pruning.

use super::bed::*;
use crate::audit::attested::{Attested, Kind};
use crate::audit::event::{Event, to_body};
use crate::audit::signature::Signature;
use crate::policy::usage::IDS_KEPT_MS;
use crate::store::checkpoint::INTERVAL_ROWS;
use crate::store::ledger::Entry;
use crate::store::surgery::{content, operate};
use crate::types::ask::Method;
use crate::types::clock::UnixMs;
use crate::types::decimal::Decimal;
use crate::types::endpoint::{Effect, Endpoint, Grant};
use crate::types::id::Id;
use crate::vault::unlock::{Accept, UnlockError};
use crate::vault::usage::to_row;
use crate::vault::{AdminError, usage};
use data_encoding::HEXLOWER;

const DAY_MS: i64 = 86_400_000;

impl Bed {
    /// So many rows of the present time that mean nothing, in one commit.
    fn fill(&self, rows: u64) {
        let now = crate::types::clock::Clock::now(&*self.clock);
        let body = to_body(now, Event::Backup);
        let entries = (0..rows).map(|_| Entry { body: body.clone(), opens: None }).collect();
        self.write(entries);
    }

    /// A row that counts an order of this bot at the present time.
    fn count_an_order(&self, bot: Id, credential: Id) {
        let now = crate::types::clock::Clock::now(&*self.clock);
        let counts = crate::policy::usage::Counts { orders: 1, notional: Decimal::from(5), ids: vec![[7; 16]] };
        let (method, path) = (Method::Post, "/api/v5/trade/order".into());
        let endpoint = Endpoint { method, path, grant: Grant::Trade, effect: Effect::Place };
        let row = Signature {
            decision: "allow",
            code: None,
            bot: "bob",
            uid: None,
            credential: Some("main"),
            endpoint: Some(&endpoint),
            channel: None,
            path_sha256: None,
            body_sha256: Some([1; 32]),
            policy: "trader@1",
            rule: None,
            shadow: None,
            counted: Some(to_row(bot, credential, &counts)),
        };
        self.write(vec![Entry { body: to_body(now, Event::Sign(&row)), opens: None }]);
    }

    fn write(&self, entries: Vec<Entry>) {
        let ledger = self.vault.ledger().unwrap();
        ledger.settle(ledger.enqueue(UnixMs(0), entries, Vec::new())).unwrap();
    }

    /// What the last row attests.
    fn attested(&self) -> Option<(Kind, Attested)> {
        let ledger = self.vault.ledger().unwrap();
        let row = ledger.rows(ledger.standing().tail.seq - 1, 1).unwrap().pop().unwrap();
        Attested::parse(&row.body).map(|(kind, told)| (kind, told.attested))
    }

    fn tail(&self) -> u64 {
        self.vault.ledger().unwrap().standing().tail.seq
    }

    /// The row from which on all are verified, and how many before it are not.
    fn verified(&self) -> (u64, u64) {
        let position = self.vault.position().unwrap();
        (position.audit_verified_from, position.audit_backlog)
    }

    /// Does the duties until the backlog is done.
    fn verify_all(&self) {
        while self.verified().1 > 0 {
            self.vault.tend().unwrap();
        }
    }

    fn orders_used(&self, bot: &Id, credential: &Id) -> u64 {
        use crate::policy::usage::Window;
        let now = crate::types::clock::Clock::now(&*self.clock);
        self.vault
            .look(|unlocked| unlocked.book.usage(bot, credential).meter.used(Window::Day, now.wall).orders)
            .unwrap()
    }
}

#[track_caller]
fn broken_at(refused: Result<impl std::fmt::Debug, UnlockError>, row: u64) {
    let refused = refused.unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!("the ledger is broken at row {row}: it does not follow from the rows before it")
    );
}

/// A vault with more rows than are verified at once, all of them signed but the last few.
fn large() -> Bed {
    let bed = Bed::empty();
    bed.fill(INTERVAL_ROWS);
    bed.vault.tend().unwrap();
    bed.fill(10);
    bed
}

#[test]
fn the_first_unlock_makes_the_key_and_says_so_once() {
    let bed = Bed::empty();
    let key = bed.vault.audit_key().unwrap();
    assert!(bed.last_row().contains(&format!(r#""event":"signing_key","key":"{}""#, key.key)));
    let bed = bed.reopened();
    assert_eq!(bed.vault.audit_key().unwrap().key, key.key);
    assert_eq!(bed.rows().iter().filter(|row| row.body.contains("signing_key")).count(), 1);
    bed.lock();
    assert!(matches!(bed.vault.audit_key(), Err(AdminError::Locked)));
}

#[test]
fn a_checkpoint_signs_every_row_before_it_when_there_are_enough() {
    let bed = Bed::empty();
    bed.fill(INTERVAL_ROWS - bed.tail() - 1);
    bed.vault.tend().unwrap();
    assert!(bed.attested().is_none(), "one row is missing");
    bed.fill(1);
    bed.vault.tend().unwrap();
    let (kind, signed) = bed.attested().unwrap();
    let key = HEXLOWER.decode(bed.vault.audit_key().unwrap().key.as_bytes()).unwrap().try_into().unwrap();
    assert!(signed.is_signed_by(Kind::Checkpoint, &key));
    assert_eq!((kind, signed.from, signed.to, signed.counts), (Kind::Checkpoint, 0, INTERVAL_ROWS, false));
    let standing = bed.vault.ledger().unwrap().standing();
    assert_eq!((standing.state.checkpoint, standing.tail.seq), (signed.point(), INTERVAL_ROWS + 1));
    bed.vault.tend().unwrap();
    assert_eq!(bed.tail(), INTERVAL_ROWS + 1, "there is nothing new to sign");
    assert!(!bed.vault.checkpoint().unwrap().is_new);
}

#[test]
fn a_checkpoint_is_made_once_a_day_when_there_were_rows() {
    let bed = Bed::empty();
    bed.clock.pass(DAY_MS - 1);
    bed.vault.tend().unwrap();
    assert!(bed.attested().is_none());
    bed.clock.pass(1);
    bed.vault.tend().unwrap();
    let (_, first) = bed.attested().unwrap();
    bed.clock.pass(DAY_MS);
    bed.vault.tend().unwrap();
    assert_eq!(bed.tail(), first.to + 1, "no row came since");
    bed.fill(1);
    bed.vault.tend().unwrap();
    assert_eq!(bed.attested().unwrap().1.from, first.to + 1, "it names the one before it");
    let bed = bed.reopened();
    bed.clock.pass(DAY_MS - 1);
    bed.vault.tend().unwrap();
    assert!(bed.attested().is_none(), "the day began with the last checkpoint, not with the unlock");
    bed.clock.pass(1);
    bed.vault.tend().unwrap();
    assert!(bed.attested().is_some());
}

#[test]
fn nothing_is_signed_while_the_clock_is_not_believed() {
    let bed = Bed::empty();
    bed.fill(INTERVAL_ROWS);
    bed.clock.jump(60_000);
    bed.vault.tend().unwrap();
    assert!(bed.attested().is_none());
    assert!(matches!(bed.vault.checkpoint(), Err(AdminError::ClockJumped)));
    bed.unlock_accepting(Accept { rollback: false, clock: true }).unwrap();
    bed.vault.tend().unwrap();
    assert!(bed.attested().is_some());
}

#[test]
fn a_checkpoint_by_a_clock_that_ran_ahead_leaves_no_mark_and_does_not_put_off_the_next() {
    let (bed, bob, _) = Bed::furnished();
    let ten_years = 3652 * DAY_MS;
    bed.lock();
    bed.clock.jump(ten_years);
    bed.unlock().unwrap();
    bed.vault.checkpoint().unwrap();
    bed.lock();
    bed.clock.jump(-ten_years);
    bed.unlock().unwrap();
    bed.sign(&bob, "main").unwrap();
    bed.vault.tend().unwrap();
    assert!(bed.attested().is_some());
    bed.vault.tend().unwrap();
    bed.sign(&bob, "main").unwrap();
    bed.vault.tend().unwrap();
    assert!(bed.attested().is_none(), "and the day begins anew");
}

#[test]
fn a_checkpoint_that_can_t_be_written_is_made_later() {
    let bed = Bed::empty();
    let before = bed.tail();
    bed.vault.ledger().unwrap().refuse_next_write();
    assert!(matches!(bed.vault.checkpoint(), Err(AdminError::Unavailable)));
    assert_eq!(bed.vault.checkpoint().unwrap().row, before + 1);
    bed.reopened();
}

#[test]
fn a_small_ledger_is_verified_whole_however_often_it_was_signed() {
    let bed = Bed::empty();
    bed.vault.checkpoint().unwrap();
    bed.fill(10);
    bed.vault.checkpoint().unwrap();
    bed.lock();
    let bed = bed.restarted();
    operate(&bed.paths(), "UPDATE audit SET body = body || ' ' WHERE seq = 2");
    broken_at(bed.unlock(), 2);
}

#[test]
fn a_large_ledger_is_verified_from_its_checkpoint_and_the_rest_meanwhile() {
    let bed = large().reopened();
    assert_eq!(bed.verified(), (INTERVAL_ROWS + 4, INTERVAL_ROWS + 3), "three rows tell of the vault");
    bed.vault.tend().unwrap();
    bed.verify_all();
    assert_eq!(bed.verified(), (1, 0));
    assert_eq!(bed.vault.audit_verify().unwrap().first, 1);
    bed.lock();
    bed.unlock().unwrap();
    assert_eq!(bed.verified().1, INTERVAL_ROWS + 3, "nothing is known against them");
    bed.lock();
    bed.unlock().unwrap();
    assert_eq!(bed.verified(), (1, 0), "they were not all verified the last time, so now they are");
}

#[test]
fn what_is_not_signed_yet_and_the_signature_s_own_row_are_verified_first() {
    let bed = large();
    bed.lock();
    let signed = INTERVAL_ROWS + 4;
    let changes = ["head = zeroblob(32)", "body = replace(body, 'a', 'b')"];
    for (row, change) in [signed, signed + 5].into_iter().flat_map(|row| changes.map(|change| (row, change))) {
        let sound = std::fs::read(bed.paths().database()).unwrap();
        operate(&bed.paths(), &format!("UPDATE audit SET {change} WHERE seq = {row}"));
        broken_at(bed.unlock(), row);
        std::fs::write(bed.paths().database(), sound).unwrap();
        bed.clock.pass(60_000);
    }
    bed.unlock().unwrap();
}

#[test]
fn an_old_row_that_was_changed_locks_the_vault_and_keeps_it_locked() {
    let bed = large();
    bed.lock();
    let sound = std::fs::read(bed.paths().database()).unwrap();
    let bed = bed.restarted();
    operate(&bed.paths(), "UPDATE audit SET body = body || ' ' WHERE seq = 9000");
    bed.unlock().unwrap();
    let mut refused = None;
    for _ in 0..100 {
        if let Err(error) = bed.vault.tend() {
            refused = Some(error.to_string());
            break;
        }
    }
    assert_eq!(
        refused.as_deref(),
        Some("the ledger is broken at row 9000: it does not follow from the rows before it")
    );
    assert!(!bed.vault.is_unlocked());
    assert_eq!(bed.vault.locked_because(), refused);
    bed.vault.tend().unwrap();
    broken_at(bed.unlock(), 9000);
    let bed = bed.restarted();
    broken_at(bed.unlock(), 9000);
    assert_eq!(bed.vault.locked_because(), None, "another process: the ledger tells it, not its memory");

    std::fs::write(bed.paths().database(), sound).unwrap();
    bed.clock.pass(60_000);
    bed.unlock_accepting(Accept { rollback: true, clock: false }).unwrap();
    bed.verify_all();
    assert!(bed.vault.is_unlocked());
}

#[test]
fn a_row_that_is_missing_from_the_old_ones_is_named() {
    let bed = large();
    bed.lock();
    let bed = bed.restarted();
    operate(&bed.paths(), "DELETE FROM audit WHERE seq = 16384");
    bed.unlock().unwrap();
    let refused = (0..100).find_map(|_| bed.vault.tend().err()).unwrap();
    assert_eq!(refused.to_string(), "the ledger is broken at row 16384: it does not follow from the rows before it");
}

#[test]
fn rows_that_count_are_verified_first_however_many_checkpoints_ago_and_forgotten_after_seven_days() {
    let (bot, credential) = (Id([1; 16]), Id([2; 16]));
    let bed = Bed::empty();
    bed.fill(100);
    bed.vault.checkpoint().unwrap();
    bed.count_an_order(bot, credential);
    let counted = bed.tail();
    bed.fill(INTERVAL_ROWS);
    bed.vault.tend().unwrap();
    assert!(bed.attested().unwrap().1.counts);
    bed.fill(100);
    bed.vault.checkpoint().unwrap();
    assert!(!bed.attested().unwrap().1.counts);
    let bed = bed.reopened();
    assert_eq!(bed.orders_used(&bot, &credential), 1);
    assert_eq!(bed.verified().0, 104, "from the checkpoint before the row that counts");
    bed.lock();
    let sound = std::fs::read(bed.paths().database()).unwrap();
    let bed = bed.restarted();
    operate(&bed.paths(), &format!("DELETE FROM audit WHERE seq = {counted}"));
    broken_at(bed.unlock(), counted);
    std::fs::write(bed.paths().database(), sound).unwrap();

    bed.clock.pass(IDS_KEPT_MS - 1);
    bed.unlock().unwrap();
    assert_eq!(bed.verified().0, 104, "by the time that the vault has seen");
    bed.clock.pass(60_000);
    bed.vault.checkpoint().unwrap();
    let bed = bed.reopened();
    assert_eq!(bed.verified().0, 104, "a clock that nobody vouches for may be ahead");
    bed.clock.set_synchronised(true);
    bed.vault.tend().unwrap();
    bed.vault.checkpoint().unwrap();
    let bed = bed.reopened();
    assert!(bed.verified().0 > INTERVAL_ROWS, "{:?}", bed.verified());
}

#[test]
fn a_checkpoint_s_row_that_was_changed_is_refused_while_an_unlock_walks_back() {
    let bed = Bed::empty();
    bed.fill(100);
    bed.vault.checkpoint().unwrap();
    let first = bed.tail();
    bed.fill(INTERVAL_ROWS);
    bed.vault.tend().unwrap();
    bed.lock();
    let bed = bed.restarted();
    operate(
        &bed.paths(),
        &format!("UPDATE audit SET body = replace(body, '\"counts\":false', '\"counts\":true') WHERE seq = {first}"),
    );
    broken_at(bed.unlock(), first);
}

#[test]
fn old_rows_tell_when_a_credential_was_used_unless_it_is_another_of_that_name() {
    let (bed, bob, _) = Bed::furnished();
    bed.sign(&bob, "main").unwrap();
    bed.fill(INTERVAL_ROWS);
    bed.vault.tend().unwrap();
    let bed = bed.reopened();
    assert_eq!(bed.vault.credential("main").unwrap().credential.last_used, None);
    bed.verify_all();
    assert!(bed.vault.credential("main").unwrap().credential.last_used.is_some());
    bed.clock.pass(60_000);
    bed.vault.remove_credential("main").unwrap();
    bed.vault.add_credential(credential("main", "two")).unwrap();
    let bed = bed.reopened();
    bed.verify_all();
    assert_eq!(bed.vault.credential("main").unwrap().credential.last_used, None);
}

/// The text of a moment so many days ago.
fn days_ago(bed: &Bed, days: i64) -> String {
    crate::types::clock::Clock::now(&*bed.clock).wall.plus_ms(-days * DAY_MS).to_string()
}

#[test]
fn old_rows_are_pruned_in_steps_and_nothing_else_changes() {
    let (bed, bob, _) = Bed::furnished();
    bed.fill(5000);
    bed.clock.pass(40 * DAY_MS);
    bed.sign(&bob, "main").unwrap();
    let signed = bed.tail();
    let pruned = bed.vault.prune(&days_ago(&bed, 30)).unwrap();
    assert_eq!((pruned.rows, pruned.first, pruned.is_done), (signed - 1, signed, true));
    let ledger = bed.vault.ledger().unwrap();
    assert_eq!(ledger.rows(0, 1).unwrap()[0].seq, signed);
    let told: Vec<Option<(Kind, Attested)>> = ledger
        .rows(signed, 10)
        .unwrap()
        .iter()
        .map(|row| Attested::parse(&row.body).map(|(kind, told)| (kind, told.attested)))
        .collect();
    let kinds: Vec<Option<Kind>> = told.iter().map(|told| told.as_ref().map(|(kind, _)| *kind)).collect();
    assert_eq!(kinds, [Some(Kind::Checkpoint), Some(Kind::Prune), Some(Kind::Prune), Some(Kind::Prune)]);
    let ranges: Vec<(u64, u64)> = told[1..].iter().flatten().map(|(_, told)| (told.from, told.to)).collect();
    assert_eq!(ranges, [(1, 2000), (2001, 4000), (4001, signed - 1)]);
    assert_eq!(told[3].as_ref().unwrap().1.point(), ledger.standing().state.first_kept);
    assert_eq!(bed.vault.audit_verify().unwrap().first, signed);
    assert_eq!(bed.vault.prune(&days_ago(&bed, 30)).unwrap().rows, 0);
    drop(ledger);
    bed.sign(&bob, "main").unwrap();
    let bed = bed.reopened();
    bed.sign(&bob, "main").unwrap();
    assert_eq!(bed.vault.audit_verify().unwrap().first, signed);
    bed.lock();
    let bed = bed.restarted();
    operate(&bed.paths(), &format!("DELETE FROM audit WHERE seq = {signed}"));
    broken_at(bed.unlock(), signed);
}

#[test]
fn rows_that_limits_may_need_and_what_is_no_date_are_not_pruned() {
    let bed = Bed::empty();
    bed.clock.pass(6 * DAY_MS);
    for before in ["yesterday", "", &days_ago(&bed, 6), &days_ago(&bed, -1)] {
        assert!(matches!(bed.vault.prune(before), Err(AdminError::Invalid { .. })), "{before}");
    }
    let rows = bed.tail();
    assert_eq!(bed.vault.prune(&days_ago(&bed, 7)).unwrap().rows, 1, "the first row, which says nothing at all");
    assert_eq!(bed.vault.prune(&days_ago(&bed, 8)).unwrap().rows, 0);
    assert_eq!(bed.tail(), rows + 2, "a checkpoint and the prune");
    bed.lock();
    assert!(matches!(bed.vault.prune(&days_ago(&bed, 8)), Err(AdminError::Locked)));
}

#[test]
fn a_row_that_was_changed_is_never_pruned() {
    let bed = large();
    bed.lock();
    let bed = bed.restarted();
    operate(&bed.paths(), "UPDATE audit SET body = body || ' ' WHERE seq = 2100");
    bed.clock.pass(40 * DAY_MS);
    bed.unlock().unwrap();
    let refused = bed.vault.prune(&days_ago(&bed, 30)).unwrap_err();
    assert_eq!(refused.to_string(), "the ledger is broken at row 2100: it does not follow from the rows before it");
    assert_eq!(bed.vault.ledger().unwrap().rows(0, 1).unwrap()[0].seq, 2001, "what was sound before it is gone");
}

#[test]
fn a_prune_that_fails_leaves_the_rows_and_the_next_goes_on() {
    let bed = Bed::empty();
    bed.fill(100);
    bed.clock.pass(40 * DAY_MS);
    bed.vault.checkpoint().unwrap();
    bed.vault.ledger().unwrap().refuse_next_write();
    assert!(matches!(bed.vault.prune(&days_ago(&bed, 30)), Err(AdminError::Unavailable)));
    assert_eq!(bed.rows()[0].seq, 1);
    assert_eq!(bed.vault.audit_verify().unwrap().first, 1);
    assert_eq!(bed.vault.prune(&days_ago(&bed, 30)).unwrap().rows, 103);
    bed.reopened();
}

#[test]
fn a_beginning_that_was_cut_off_is_not_taken_for_a_pruned_one() {
    let bed = Bed::empty();
    bed.fill(100);
    bed.clock.pass(40 * DAY_MS);
    bed.lock();
    let before = std::fs::read(bed.paths().database()).unwrap();
    bed.unlock().unwrap();
    bed.vault.prune(&days_ago(&bed, 30)).unwrap();
    bed.lock();
    let pruned = std::fs::read(bed.paths().database()).unwrap();
    let bed = bed.restarted();
    let first = content(&bed.paths()).iter().filter(|row| row.starts_with("audit")).count();
    assert!(first > 0);

    // Rows put back from an older copy, and an older copy as a whole.
    std::fs::write(bed.dir.path().join("older.db"), &before).unwrap();
    let older = bed.dir.path().join("older.db");
    operate(
        &bed.paths(),
        &format!("ATTACH '{}' AS older; INSERT INTO audit SELECT * FROM older.audit WHERE seq = 50", older.display()),
    );
    assert!(matches!(bed.unlock(), Err(UnlockError::Integrity(_))));
    std::fs::write(bed.paths().database(), &before).unwrap();
    bed.clock.pass(60_000);
    assert!(bed.unlock().unwrap_err().to_string().contains("the anchor remembers"));
    std::fs::write(bed.paths().database(), &pruned).unwrap();
    bed.clock.pass(120_000);
    bed.unlock().unwrap();
}

#[test]
fn a_prune_overtakes_the_rows_that_are_still_to_be_verified() {
    let bed = large();
    bed.clock.pass(40 * DAY_MS);
    bed.fill(1);
    let bed = bed.reopened();
    assert!(bed.verified().1 > 0);
    while !bed.vault.prune(&days_ago(&bed, 30)).unwrap().is_done {}
    bed.vault.tend().unwrap();
    let first = bed.vault.ledger().unwrap().standing().state.first_kept.link.seq + 1;
    assert!(first > INTERVAL_ROWS);
    assert_eq!(bed.verified(), (first, 0));
    bed.reopened();
}

#[test]
fn the_digest_of_an_ask_is_what_the_row_says() {
    // What count_an_order writes must be read as the vault's own rows are.
    let bed = Bed::empty();
    bed.count_an_order(Id([1; 16]), Id([2; 16]));
    let row = bed.last_row();
    let used = crate::audit::event::Used::parse(&row).unwrap();
    assert!(usage::Book::default().count_row(&used, UnixMs::parse_rfc3339(&used.time)));
    assert!(!usage::Book::default().count_row(&used, None), "a row without a moment");
}
