//! The chain: every row's head is a MAC over the head before it and the row's own text.
//!
//! `h_n = HMAC-SHA-256(K_audit, enc(vault_id, n, h_{n-1}, body))` with 32 zero bytes before the first row. Who can
//! write the file but has no key can neither change, drop, insert nor reorder a row without the next head being wrong.

//!
//! Beside it runs a chain that anyone can compute: `d_n = SHA-256(enc(d_{n-1}, n, h_n, body))`, with 32 zero bytes before
//! the first row. A signature over one digest covers every row up to it, so that who has only an export and a public key
//! can check it, and rows that were taken out on purpose stay covered by the digest that was signed.

use crate::crypto::mac::{self, Keyed};
use crate::types::id::Id;

/// A point on the chain: after row `seq` the head is `head`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The row's sequence number; 0 before the first row.
    pub seq: u64,
    /// The chain value after that row.
    pub head: [u8; 32],
}

impl Link {
    /// The point before the first row.
    pub const START: Link = Link { seq: 0, head: [0; 32] };

    /// The point after one more row with this text.
    pub fn next(self, audit_key: &[u8; 32], vault_id: &Id, body: &str) -> Link {
        self.after(&Keyed::new(audit_key), vault_id, body)
    }

    fn after(self, audit_key: &Keyed, vault_id: &Id, body: &str) -> Link {
        let seq = self.seq + 1;
        Link { seq, head: mac::chain_link(audit_key, vault_id, seq, &self.head, body.as_bytes()) }
    }

    /// The point after a stored row, or `None` when the row does not follow from this one: another sequence number,
    /// another text, or another head.
    pub fn follow(self, audit_key: &Keyed, vault_id: &Id, seq: u64, head: &[u8], body: &str) -> Option<Link> {
        let next = self.after(audit_key, vault_id, body);
        (next.seq == seq && mac::equal(&next.head, head)).then_some(next)
    }
}

/// A point on both chains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// The chain that needs the key.
    pub link: Link,
    /// The digest of every row up to it.
    pub digest: [u8; 32],
}

impl Point {
    /// The point before the first row.
    pub const START: Point = Point { link: Link::START, digest: [0; 32] };

    /// The point after one more row with this text.
    pub fn next(self, audit_key: &[u8; 32], vault_id: &Id, body: &str) -> Point {
        self.past(self.link.next(audit_key, vault_id, body), body)
    }

    /// The points after each of several rows more.
    pub fn next_ones<'a>(
        self,
        audit_key: &[u8; 32],
        vault_id: &Id,
        bodies: impl Iterator<Item = &'a str>,
    ) -> Vec<Point> {
        let (audit_key, mut at) = (Keyed::new(audit_key), self);
        let points = bodies.map(|body| {
            at = at.past(at.link.after(&audit_key, vault_id, body), body);
            at
        });
        points.collect()
    }

    /// The point after a stored row, or `None` when the row does not follow, as [`Link::follow`].
    pub fn follow(self, audit_key: &Keyed, vault_id: &Id, seq: u64, head: &[u8], body: &str) -> Option<Point> {
        Some(self.past(self.link.follow(audit_key, vault_id, seq, head, body)?, body))
    }

    fn past(self, link: Link, body: &str) -> Point {
        Point { link, digest: digest(&self.digest, link.seq, &link.head, body) }
    }
}

/// The digest after one more row.
pub fn digest(before: &[u8; 32], seq: u64, head: &[u8; 32], body: &str) -> [u8; 32] {
    mac::sha256_of_enc(&[before, &seq.to_be_bytes(), head, body.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];
    const VAULT: Id = Id([1; 16]);

    #[test]
    fn a_changed_moved_or_missing_row_does_not_follow() {
        let one = Link::START.next(&KEY, &VAULT, "one");
        let two = one.next(&KEY, &VAULT, "two");
        let key = Keyed::new(&KEY);
        assert_eq!(one.follow(&key, &VAULT, 2, &two.head, "two"), Some(two));
        assert_eq!(one.follow(&key, &VAULT, 2, &two.head, "twO"), None);
        assert_eq!(one.follow(&key, &VAULT, 3, &two.head, "two"), None);
        assert_eq!(Link::START.follow(&key, &VAULT, 2, &two.head, "two"), None);
        assert_eq!(one.follow(&Keyed::new(&[8; 32]), &VAULT, 2, &two.head, "two"), None);
    }

    #[test]
    fn the_digest_covers_every_row_and_needs_no_key() {
        let one = Point::START.next(&KEY, &VAULT, "one");
        let two = one.next(&KEY, &VAULT, "two");
        assert_eq!(one.follow(&Keyed::new(&KEY), &VAULT, 2, &two.link.head, "two"), Some(two));
        assert_eq!(digest(&digest(&[0; 32], 1, &one.link.head, "one"), 2, &two.link.head, "two"), two.digest);
        assert_eq!(Point::START.next_ones(&KEY, &VAULT, ["one", "two"].into_iter()), [one, two]);
        assert_ne!(digest(&digest(&[0; 32], 1, &one.link.head, "onE"), 2, &two.link.head, "two"), two.digest);
    }
}
