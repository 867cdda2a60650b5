//! What a bot used of its rolling limits, and the client ids that a credential has seen.
//!
//! Deliberately absent: rules. These types remember and answer; what follows from the answers is in
//! [`limit`](crate::policy::limit). Asking never changes what is remembered, so a judgement can be made again.

mod rolling;

use crate::crypto::mac::sha256_of_enc;
use crate::policy::usage::rolling::Rolling;
use crate::types::clock::UnixMs;
use crate::types::decimal::Decimal;
use std::collections::BTreeSet;
use std::collections::hash_map::Entry;

/// For how long a client id is remembered, in milliseconds: seven days.
pub const IDS_KEPT_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// How many client ids are remembered for a credential. No more are taken before one has had its seven days.
pub const MOST_IDS: usize = 1_000_000;

/// A client order id as it is remembered: the first half of a hash.
pub type IdHash = [u8; 16];

/// What an ask is judged against.
#[derive(Clone, Copy, Debug)]
pub struct Usage<'a> {
    /// The bot's orders and notional.
    pub meter: &'a Meter,
    /// The credential's client ids.
    pub ids: &'a ClientIds,
    /// When the vault was restored from a backup, if nobody said that the backup's own rows are all there is: what was
    /// used between the two is unknown.
    pub unknown_before: Option<UnixMs>,
}

/// What an allowed ask counts for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Orders that it places.
    pub orders: u64,
    /// What they are worth; nothing when no limit counts it.
    pub notional: Decimal,
    /// Their client ids.
    pub ids: Vec<IdHash>,
}

/// A span of time that rolls along with the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// 60 seconds.
    Minute,
    /// 60 minutes.
    Hour,
    /// 24 hours.
    Day,
}

impl Window {
    /// All three, the shortest first.
    pub const ALL: [Window; 3] = [Window::Minute, Window::Hour, Window::Day];

    /// In how many milliseconds everything before a moment will have left the window; none when it has.
    pub fn wait_for_all_before(self, moment: UnixMs, now: UnixMs) -> Option<u64> {
        let length_ms = i64::try_from(self.seconds() * 1000).expect("a window is a day at most");
        u64::try_from(moment.plus_ms(length_ms).0.saturating_sub(now.0)).ok().filter(|wait| *wait > 0)
    }

    /// How long it is, in seconds.
    pub fn seconds(self) -> u64 {
        match self {
            Window::Minute => 60,
            Window::Hour => 60 * 60,
            Window::Day => 24 * 60 * 60,
        }
    }
}

/// What was used in a window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Orders placed.
    pub orders: u64,
    /// What orders were worth.
    pub notional: Decimal,
}

/// A bot's orders and notional of the last minute, hour and 24 hours.
///
/// What is counted never leaves a window early, and at most a 1024th of the window late: that is what keeps the memory
/// of a bot small however many orders it places.
#[derive(Clone, Debug)]
pub struct Meter {
    minute: Rolling,
    hour: Rolling,
    day: Rolling,
}

impl Default for Meter {
    fn default() -> Meter {
        let [minute, hour, day] = Window::ALL.map(Rolling::new);
        Meter { minute, hour, day }
    }
}

impl Meter {
    /// Counts an ask at a moment. A moment before the last one counts as the last one.
    pub fn add(&mut self, counts: &Counts, at: UnixMs) {
        for window in [&mut self.minute, &mut self.hour, &mut self.day] {
            window.add(counts.orders, &counts.notional, at);
        }
    }

    /// What was used in the window that ends now.
    pub fn used(&self, window: Window, now: UnixMs) -> Used {
        self.rolling(window).used(now)
    }

    /// Whether `fits` holds for what was used in the window that ends now. It must hold for less than what it holds for.
    pub fn has_room(&self, window: Window, now: UnixMs, fits: impl Fn(&Used) -> bool) -> bool {
        self.rolling(window).has_room(now, fits)
    }

    /// In how many milliseconds so much will have left the window that `fits` holds for what is left; none if it holds
    /// for nothing.
    pub fn wait(&self, window: Window, now: UnixMs, fits: impl Fn(&Used) -> bool) -> Option<u64> {
        self.rolling(window).wait(now, fits)
    }

    /// Takes what was counted after `now` for counted now. To be called only when a person or the kernel has said
    /// that the clock is right: a clock that is behind would let everything leave too early.
    pub fn not_after(&mut self, now: UnixMs) {
        for window in [&mut self.minute, &mut self.hour, &mut self.day] {
            window.not_after(now);
        }
    }

    fn rolling(&self, window: Window) -> &Rolling {
        match window {
            Window::Minute => &self.minute,
            Window::Hour => &self.hour,
            Window::Day => &self.day,
        }
    }
}

/// The client ids of a credential, each with the digest of the ask it was used in, for seven days after its last use.
#[derive(Clone, Debug)]
pub struct ClientIds {
    seen: foldhash::HashMap<IdHash, Seen>,
    /// The same ids by the time of their last use.
    by_time: BTreeSet<(UnixMs, IdHash)>,
    most: usize,
}

/// The use of a client id.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// The first half of the digest of the first ask with it.
    digest: [u8; 16],
    /// The last time it was used.
    last: UnixMs,
}

impl Default for ClientIds {
    fn default() -> ClientIds {
        ClientIds::holding(MOST_IDS)
    }
}

impl ClientIds {
    /// Room for so many ids.
    pub fn holding(most: usize) -> ClientIds {
        ClientIds { seen: foldhash::HashMap::default(), by_time: BTreeSet::new(), most }
    }

    /// The hash under which an id is remembered. All of a credential's orders share one space of ids, whatever kind of
    /// order an exchange keeps apart.
    pub fn hash(id: &str) -> IdHash {
        half(&sha256_of_enc(&[b"signvault/1/client-id", id.as_bytes()]))
    }

    /// Whether an id was used with another ask than this, as far as is remembered now.
    pub fn conflicts(&self, id: &IdHash, digest: &[u8; 32], now: UnixMs) -> bool {
        self.remembered(id, now).is_some_and(|seen| seen.digest != half(digest))
    }

    /// In how many milliseconds there will be room for these ids: 0 when there is, none when there never will be.
    pub fn wait_for_room(&self, ids: &[IdHash], now: UnixMs) -> Option<u64> {
        if self.seen.len() + ids.len() <= self.most {
            return Some(0);
        }
        let new = ids.iter().filter(|id| !self.seen.contains_key(*id)).count();
        let excess = (self.seen.len() + new).saturating_sub(self.most);
        let Some(before) = excess.checked_sub(1) else { return Some(0) };
        let (last, _) = self.by_time.iter().nth(before)?;
        Some(u64::try_from(last.plus_ms(IDS_KEPT_MS).0.saturating_sub(now.0)).unwrap_or(0))
    }

    /// Remembers an ask's ids. An id that is remembered keeps its digest and starts its seven days again. Without room
    /// a new id is not taken: [`ClientIds::wait_for_room`] has said so before.
    pub fn remember(&mut self, ids: &[IdHash], digest: [u8; 32], at: UnixMs) {
        self.forget(at);
        for id in ids {
            let is_full = self.seen.len() >= self.most;
            let seen = match self.seen.entry(*id) {
                Entry::Occupied(known) => {
                    let seen = known.into_mut();
                    self.by_time.remove(&(seen.last, *id));
                    seen
                }
                Entry::Vacant(_) if is_full => continue,
                Entry::Vacant(new) => new.insert(Seen { digest: half(&digest), last: at }),
            };
            seen.last = seen.last.max(at);
            self.by_time.insert((seen.last, *id));
        }
    }

    /// As [`Meter::not_after`].
    pub fn not_after(&mut self, now: UnixMs) {
        for seen in self.seen.values_mut() {
            seen.last = seen.last.min(now);
        }
        self.by_time = self.seen.iter().map(|(id, seen)| (seen.last, *id)).collect();
    }

    fn remembered(&self, id: &IdHash, now: UnixMs) -> Option<&Seen> {
        self.seen.get(id).filter(|seen| !is_over(seen.last, now))
    }

    fn forget(&mut self, now: UnixMs) {
        while let Some((last, id)) = self.by_time.first().copied().filter(|(last, _)| is_over(*last, now)) {
            self.by_time.remove(&(last, id));
            self.seen.remove(&id);
        }
    }
}

fn is_over(last: UnixMs, now: UnixMs) -> bool {
    last.plus_ms(IDS_KEPT_MS) <= now
}

fn half(digest: &[u8; 32]) -> [u8; 16] {
    let (first, _) = digest.split_first_chunk().expect("16 of 32 bytes");
    *first
}

#[cfg(test)]
mod tests;
