//! Exports as they are made, and what was done to them.

use super::*;
use crate::audit::attested::Covers;
use crate::audit::event::{Event, to_body};
use crate::crypto::ed25519;
use crate::types::clock::{Now, UnixMs};

const SEED: [u8; 32] = [5; 32];
const AUDIT_KEY: [u8; 32] = [6; 32];
const VAULT: Id = Id([9; 16]);

/// A ledger that grows, and its export.
struct Growing {
    lines: Vec<String>,
    at: Point,
    checkpoint: u64,
}

impl Growing {
    fn new() -> Growing {
        Growing { lines: Vec::new(), at: Point::START, checkpoint: 0 }
    }

    fn row(mut self, body: &str) -> Growing {
        self.at = self.at.next(&AUDIT_KEY, &VAULT, body);
        let link = self.at.link;
        let head = data_encoding::HEXLOWER.encode(&link.head);
        self.lines.push(serde_json::json!({ "seq": link.seq, "head": head, "body": body }).to_string());
        self
    }

    fn rows(self, count: usize) -> Growing {
        (0..count).fold(self, |growing, at| growing.row(&format!("row {at}")))
    }

    fn checkpoint(mut self) -> Growing {
        let covers = Covers { vault: VAULT, from: self.checkpoint, at: self.at, counts: false };
        self.checkpoint = self.at.link.seq + 1;
        self.row(&body(Event::Checkpoint(Box::new(covers.sign(Kind::Checkpoint, &SEED)))))
    }

    fn prune(self, at: Point) -> Growing {
        let covers = Covers { vault: VAULT, from: 1, at, counts: false };
        self.row(&body(Event::Prune(Box::new(covers.sign(Kind::Prune, &SEED)))))
    }
}

fn body(event: Event<'_>) -> String {
    to_body(Now { wall: UnixMs(0), boot_ms: 0 }, event)
}

fn key() -> [u8; 32] {
    ed25519::public_key(&SEED)
}

fn check(lines: &[String], key: [u8; 32]) -> Result<Checked, ExportError> {
    let first = first_row(lines[0].as_bytes()).unwrap_or(1);
    let start = lines.iter().find_map(|line| find_start(line.as_bytes(), first, &key));
    let mut checker = Checker::new(key, start);
    lines.iter().try_for_each(|line| checker.line(line.as_bytes()))?;
    checker.finish()
}

#[test]
fn a_whole_export_says_how_much_is_signed() {
    let lines = Growing::new().rows(5).checkpoint().rows(3).checkpoint().rows(2).lines;
    let expected = Checked { vault: VAULT, first: 1, last: 12, covered_to: 10, signatures: 2 };
    assert_eq!(check(&lines, key()), Ok(expected));
}

#[test]
fn every_changed_missing_or_moved_row_is_named() {
    let sound = Growing::new().rows(5).checkpoint().rows(3).checkpoint().lines;
    let mut edited = sound.clone();
    edited[6] = edited[6].replace("row 0", "raw 0");
    assert_eq!(check(&edited, key()), Err(ExportError::Differs(10)));
    let mut head = sound.clone();
    head[2] = head[2].replacen(r#""head":""#, r#""head":"00"#, 1);
    assert_eq!(check(&head, key()), Err(ExportError::Malformed(3)));
    let mut missing = sound.clone();
    missing.remove(3);
    assert_eq!(check(&missing, key()), Err(ExportError::Gap(4)));
    let mut twice = sound.clone();
    twice.insert(3, twice[2].clone());
    assert_eq!(check(&twice, key()), Err(ExportError::Gap(4)));
    let mut moved = sound.clone();
    moved.swap(1, 2);
    assert_eq!(check(&moved, key()), Err(ExportError::Gap(2)));
    assert_eq!(check(&sound[2..], key()), Err(ExportError::NoBeginning(3)));
    assert_eq!(check(&sound[..5], key()), Err(ExportError::NoCheckpoint(1)));
    let mut cut = sound.clone();
    cut[9].truncate(40);
    assert_eq!(check(&cut, key()), Err(ExportError::Malformed(10)));
    let mut more = sound;
    more[4] = more[4].replacen('{', r#"{"more":1,"#, 1);
    assert_eq!(check(&more, key()), Err(ExportError::Malformed(5)));
}

#[test]
fn another_key_and_a_forged_checkpoint_are_refused() {
    let lines = Growing::new().rows(5).checkpoint().lines;
    let other = ed25519::public_key(&[6; 32]);
    assert_eq!(check(&lines, other), Err(ExportError::Unsigned(6)));
    let forged = |from: &str, to: &str| {
        let mut lines = lines.clone();
        lines[5] = lines[5].replace(from, to);
        check(&lines, key())
    };
    assert_eq!(forged(r#"\"to\":5"#, r#"\"to\":4"#), Err(ExportError::Unsigned(6)));
    assert_eq!(forged(r#"\"from\":0"#, r#"\"from\":1"#), Err(ExportError::Unsigned(6)));
    assert_eq!(forged(r#"\"to\":5"#, r#"\"to\":\"5\""#), Err(ExportError::Malformed(6)));
    let checkpoint_moved = Growing { lines: Vec::new(), at: Point::START, checkpoint: 3 }.rows(5).checkpoint();
    assert!(check(&checkpoint_moved.lines, key()).is_ok(), "the first checkpoint of an export may follow any other");
}

#[test]
fn checkpoints_follow_each_other() {
    let mut growing = Growing::new().rows(5).checkpoint().rows(2);
    growing.checkpoint = 3;
    assert_eq!(check(&growing.checkpoint().lines, key()), Err(ExportError::Differs(9)));
}

#[test]
fn a_pruned_beginning_needs_the_signed_row_that_tells_of_it() {
    let before = Growing::new().rows(4);
    let cut = before.at;
    let lines = before.rows(3).prune(cut).checkpoint().lines;
    let expected = Checked { vault: VAULT, first: 5, last: 9, covered_to: 9, signatures: 2 };
    assert_eq!(check(&lines[4..], key()), Ok(expected));
    assert_eq!(check(&lines[3..], key()), Err(ExportError::NoBeginning(4)));
    assert_eq!(check(&lines[5..], key()), Err(ExportError::NoBeginning(6)));
    assert!(check(&lines, key()).is_ok(), "rows that were exported before they were pruned");
    let mut relabelled = Growing::new().rows(4).checkpoint().rows(2).checkpoint().lines;
    relabelled[4] = relabelled[4].replace("checkpoint", "prune");
    assert_eq!(check(&relabelled[4..], key()), Err(ExportError::NoBeginning(5)));
}
