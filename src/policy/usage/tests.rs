//! Windows side by side, and the memory of client ids.

use super::*;
use crate::crypto::mac::sha256;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

fn id(number: u8) -> IdHash {
    [number; 16]
}

/// Two digests that differ in their second half only are one to the memory; the first half decides.
fn digest(number: u8) -> [u8; 32] {
    let mut digest = [0; 32];
    digest[15] = number;
    digest
}

#[test]
fn the_three_windows_count_the_same_asks_and_end_each_in_its_own_time() {
    let mut meter = Meter::default();
    let counts = Counts { orders: 2, notional: Decimal::parse("0.5").unwrap(), ids: Vec::new() };
    meter.add(&counts, UnixMs(0));
    for (window, length) in [(Window::Minute, 60_000), (Window::Hour, 3_600_000), (Window::Day, DAY_MS)] {
        assert_eq!(window.seconds() * 1000, u64::try_from(length).unwrap());
        let used = meter.used(window, UnixMs(length - 1));
        assert_eq!((used.orders, used.notional), (2, counts.notional.clone()), "{window:?}");
        assert_eq!(meter.used(window, UnixMs(length)), Used::default(), "{window:?}");
        let wait = meter.wait(window, UnixMs(10), |left| left.orders == 0);
        assert_eq!(wait, Some(u64::try_from(length).unwrap() - 10), "{window:?}");
    }
}

#[test]
fn an_id_conflicts_with_another_ask_for_seven_days() {
    let mut ids = ClientIds::default();
    assert!(!ids.conflicts(&id(1), &digest(1), UnixMs(0)));
    ids.remember(&[id(1)], digest(1), UnixMs(0));
    assert!(!ids.conflicts(&id(1), &digest(1), UnixMs(1)));
    assert!(!ids.conflicts(&id(2), &digest(2), UnixMs(1)));
    assert!(ids.conflicts(&id(1), &digest(2), UnixMs(1)));
    assert!(ids.conflicts(&id(1), &digest(2), UnixMs(7 * DAY_MS - 1)));
    assert!(!ids.conflicts(&id(1), &digest(2), UnixMs(7 * DAY_MS)));
}

#[test]
fn a_second_use_starts_the_seven_days_again_and_keeps_the_first_digest() {
    let mut ids = ClientIds::default();
    ids.remember(&[id(1)], digest(1), UnixMs(0));
    ids.remember(&[id(1)], digest(2), UnixMs(5 * DAY_MS));
    ids.remember(&[], digest(9), UnixMs(12 * DAY_MS - 1));
    assert!(!ids.conflicts(&id(1), &digest(1), UnixMs(12 * DAY_MS - 1)));
    assert!(ids.conflicts(&id(1), &digest(2), UnixMs(12 * DAY_MS - 1)));
    ids.remember(&[], digest(9), UnixMs(12 * DAY_MS));
    assert!(ids.seen.is_empty() && ids.by_time.is_empty());
}

#[test]
fn a_clock_that_goes_back_shortens_no_memory() {
    let mut ids = ClientIds::default();
    ids.remember(&[id(1)], digest(1), UnixMs(DAY_MS));
    ids.remember(&[id(1)], digest(1), UnixMs(0));
    assert!(ids.conflicts(&id(1), &digest(2), UnixMs(8 * DAY_MS - 1)));
    assert_eq!(ids.by_time.len(), 1);
}

#[test]
fn ids_of_a_clock_that_was_ahead_go_in_time_once_a_person_has_put_it_right() {
    let mut ids = ClientIds::default();
    ids.remember(&[id(1)], digest(1), UnixMs(0));
    ids.remember(&[id(2)], digest(1), UnixMs(6 * DAY_MS));
    ids.not_after(UnixMs(DAY_MS));
    ids.remember(&[], digest(9), UnixMs(7 * DAY_MS));
    assert!(!ids.seen.contains_key(&id(1)) && ids.conflicts(&id(2), &digest(2), UnixMs(8 * DAY_MS - 1)));
    ids.remember(&[], digest(9), UnixMs(8 * DAY_MS));
    assert!(ids.seen.is_empty() && ids.by_time.is_empty());
}

#[test]
fn a_meter_forgets_in_time_in_every_window_once_the_clock_was_put_right() {
    let mut meter = Meter::default();
    meter.add(&Counts { orders: 1, ..Counts::default() }, UnixMs(100 * DAY_MS));
    meter.not_after(UnixMs(0));
    for window in Window::ALL {
        let end = 1000 * window.seconds() as i64;
        let orders = |at| meter.used(window, UnixMs(at)).orders;
        assert_eq!((orders(end - 1), orders(end)), (1, 0), "{window:?}");
    }
}

#[test]
fn without_room_a_new_id_waits_for_the_oldest_to_go() {
    let mut ids = ClientIds::holding(3);
    for number in 1..=3 {
        assert_eq!(ids.wait_for_room(&[id(number)], UnixMs(0)), Some(0));
        ids.remember(&[id(number)], digest(1), UnixMs(i64::from(number) * 1000));
    }
    let week = 7 * DAY_MS.unsigned_abs();
    let at = UnixMs(3000);
    assert_eq!(ids.wait_for_room(&[id(1), id(3)], at), Some(0), "these are remembered");
    assert_eq!(ids.wait_for_room(&[id(4)], at), Some(week - 2000));
    assert_eq!(ids.wait_for_room(&[id(4), id(5)], at), Some(week - 1000));
    assert_eq!(ids.wait_for_room(&[id(4), id(5), id(6), id(7)], at), None);
    ids.remember(&[id(4)], digest(1), at);
    assert_eq!((ids.seen.len(), ids.by_time.len()), (3, 3), "no room, and nothing is forgotten for it");
    assert!(!ids.conflicts(&id(4), &digest(2), at) && ids.conflicts(&id(1), &digest(2), at));
    let over = UnixMs(1000 + 7 * DAY_MS);
    assert_eq!(ids.wait_for_room(&[id(4)], over), Some(0));
    ids.remember(&[id(4)], digest(1), over);
    assert!(ids.conflicts(&id(4), &digest(2), over) && !ids.conflicts(&id(1), &digest(2), over));
}

#[test]
fn a_credential_has_room_for_a_million_ids() {
    assert_eq!(ClientIds::default().most, 1_000_000);
}

#[test]
fn every_id_has_a_hash_of_its_own() {
    assert_eq!(ClientIds::hash("a1"), ClientIds::hash("a1"));
    assert_ne!(ClientIds::hash("a1"), ClientIds::hash("A1"));
    assert_ne!(ClientIds::hash("a1")[..8], ClientIds::hash("a1")[8..]);
    assert_ne!(ClientIds::hash(""), half(&sha256(&[b""])));
}
