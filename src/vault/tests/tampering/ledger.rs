//! The ledger's rows, and its end.

use super::*;
use crate::store::IntegrityError;

/// The row that a refusal names.
#[track_caller]
fn named(rounds: &Rounds, sql: &str) -> u64 {
    operate(&rounds.bed.paths(), sql);
    let refused = rounds.refusal(sql);
    rounds.put_back();
    match refused {
        UnlockError::Integrity(IntegrityError::Audit { seq }) => seq,
        other => panic!("{sql}: {other}"),
    }
}

#[test]
fn t22_the_first_row_that_does_not_follow_is_named() {
    let rounds = Rounds::furnished();
    let last = rounds.last_row();
    assert!(last > 8, "{last}");
    for seq in 1..=last {
        assert_eq!(named(&rounds, &format!("UPDATE audit SET body = body || ' ' WHERE seq = {seq}")), seq);
        assert_eq!(named(&rounds, &format!("UPDATE audit SET head = zeroblob(32) WHERE seq = {seq}")), seq);
    }
    for seq in 1..last {
        assert_eq!(named(&rounds, &format!("DELETE FROM audit WHERE seq = {seq}")), seq);
        let next = seq + 1;
        let exchanged = format!(
            "UPDATE audit SET seq = -7 WHERE seq = {seq}; UPDATE audit SET seq = {seq} WHERE seq = {next};
             UPDATE audit SET seq = {next} WHERE seq = -7"
        );
        assert_eq!(named(&rounds, &exchanged), seq);
        let closed = format!("DELETE FROM audit WHERE seq = {seq}; UPDATE audit SET seq = seq - 1 WHERE seq > {seq}");
        assert_eq!(named(&rounds, &closed), seq);
        let inserted = format!(
            "UPDATE audit SET seq = -seq - 1 WHERE seq > {seq}; UPDATE audit SET seq = -seq WHERE seq < 0;
             INSERT INTO audit SELECT {next}, head, body FROM audit WHERE seq = {seq}"
        );
        assert_eq!(named(&rounds, &inserted), next);
    }
    for added in [last + 1, last + 1000] {
        let sql = format!("INSERT INTO audit SELECT {added}, head, body FROM audit WHERE seq = {last}");
        assert_eq!(named(&rounds, &sql), last + 1);
    }
    for added in [0, -5, i64::MIN] {
        named(&rounds, &format!("INSERT INTO audit SELECT {added}, head, body FROM audit WHERE seq = 1"));
    }
    assert_eq!(named(&rounds, "DELETE FROM audit"), 1);
    rounds.opens();
}

#[test]
fn t22_a_ledger_cut_below_the_anchor_is_refused() {
    let rounds = Rounds::furnished();
    for kept in 0..rounds.last_row() {
        operate(&rounds.bed.paths(), &format!("DELETE FROM audit WHERE seq > {kept}"));
        rounds.refuses(&format!("cut after row {kept}"), &["vault.audit_broken", "vault.rollback_detected"]);
    }
    rounds.opens();
}

impl Rounds {
    /// The number of the last row in the file.
    fn last_row(&self) -> u64 {
        let bed = self.bed.crash_image();
        // The unlock writes one of its own.
        bed.unlock().unwrap().audit_sequence - 1
    }

    /// How many of the newest rows can be cut off without being missed.
    fn unseen(&self) -> u64 {
        let last = self.last_row();
        for cut in 1..=last {
            operate(&self.bed.paths(), &format!("DELETE FROM audit WHERE seq > {last} - {cut}"));
            match self.bed.unlock() {
                Ok(unlocked) => {
                    assert_eq!(unlocked.audit_sequence, last - cut + 1, "exactly the rows that were cut are missing");
                    self.bed.lock();
                }
                Err(error) => {
                    assert!(["vault.rollback_detected", "vault.audit_broken"].contains(&code(&error)), "{error}");
                    self.put_back();
                    return cut - 1;
                }
            }
            self.put_back();
        }
        panic!("the whole ledger can be cut off");
    }
}

/// What a thief of the ledger's end can take: the rows since the anchor was written last, which is after every change,
/// after 256 rows, and once per second.
#[test]
fn t23_only_the_rows_since_the_anchor_can_be_cut_off_unseen() {
    let (bed, bob, _) = Bed::in_memory().furnish();
    let image = || Rounds::over(bed.crash_image(), SecretText::new(bob.expose().to_owned()));
    assert_eq!(image().unseen(), 0, "after a change");
    for _ in 0..5 {
        bed.sign(&bob, "main").unwrap();
    }
    assert_eq!(image().unseen(), 5);
    bed.vault.tend().unwrap();
    assert_eq!(image().unseen(), 0, "after the second's work");
    for _ in 0..255 {
        bed.vault.note(crate::audit::event::Event::Backup).unwrap();
    }
    assert_eq!(image().unseen(), 255, "the bound that is promised");
    bed.vault.note(crate::audit::event::Event::Backup).unwrap();
    assert_eq!(image().unseen(), 0, "after 256 rows");
    bed.sign(&bob, "main").unwrap();
    bed.lock();
    assert_eq!(image().unseen(), 0, "after a lock");
}
