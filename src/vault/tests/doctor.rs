//! What doctor, `status` and the log say as days go by.

use super::bed::*;
use crate::audit::event::{Event, to_body};
use crate::secret::SecretText;
use crate::store::checkpoint::INTERVAL_ROWS;
use crate::store::ledger::Entry;
use crate::types::ask::{Ask, Method, Request, Wanted};
use crate::types::clock::{Clock, Now, UnixMs};
use crate::types::mode::Mode;
use crate::vault::doctor::past::{End, Past};
use crate::vault::sign::{Asked, sign};
use crate::vault::unlock::SlotKey;
use crate::wire::doctor::{Finding, Level};
use crate::wire::{CredentialEdit, SlotSecret};
use std::io::{self, Write};
use std::sync::Arc;

const DAY_MS: i64 = 86_400_000;

/// What is not well, as `level check: what`.
fn found(bed: &Bed) -> Vec<String> {
    let findings = bed.vault.doctor().unwrap().findings;
    let shown = |found: Finding| format!("{} {}: {}", found.level.as_str(), found.check, found.what);
    // The test's own disk, and a clock that nobody keeps.
    let findings = findings.into_iter().filter(|found| !["disk.space", "clock.synchronised"].contains(&&*found.check));
    findings.filter(|found| found.level != Level::Ok).map(shown).collect()
}

fn of<'a>(found: &'a [String], check: &str) -> Vec<&'a str> {
    let of_check = |line: &&String| line.split(' ').nth(1).is_some_and(|name| name.trim_end_matches(':') == check);
    found.iter().filter(of_check).map(String::as_str).collect()
}

/// A vault of which nothing is to be said: bound keys, seen bots, a backup.
fn healthy() -> (Bed, SecretText) {
    let bed = Bed::empty();
    bed.vault.add_credential(credential("main", "one")).unwrap();
    bind(&bed, "main", &["203.0.113.7"]);
    bed.set_policy("reader", r#"grants = ["read"]"#);
    let bob = bed.vault.add_bot(bot("bob", "main", Some("reader"))).unwrap().token;
    bed.sign(&bob, "main").unwrap();
    back_up(&bed);
    (bed, bob)
}

fn bind(bed: &Bed, credential: &str, ips: &[&str]) {
    let ips = Some(ips.iter().map(|ip| (*ip).to_owned()).collect());
    bed.vault.edit_credential(credential, CredentialEdit { ips, ..CredentialEdit::default() }).unwrap();
}

fn back_up(bed: &Bed) {
    bed.vault.backup(&mut |_| Ok(())).unwrap();
}

#[test]
fn of_a_healthy_vault_there_is_nothing_to_say_also_after_a_month() {
    let (bed, bob) = healthy();
    assert_eq!(found(&bed), [""; 0]);
    for _ in 0..40 {
        bed.clock.pass(DAY_MS);
        bed.sign(&bob, "main").unwrap();
    }
    assert_eq!(found(&bed), [""; 0]);
    let told = bed.vault.doctor().unwrap();
    assert!(told.rows > 40 && told.since.is_some_and(|since| since.starts_with("2023-11-14")), "all of it was read");
}

#[test]
fn a_key_that_lies_idle_is_warned_of_at_seven_three_and_one_and_is_used_again() {
    let (bed, bob) = healthy();
    bind(&bed, "main", &[]);
    let idle = |bed: &Bed| of(&found(bed), "credential.idle").concat();
    let says_status = |bed: &Bed| bed.vault.warnings().iter().any(|words| words.contains("without use"));
    bed.clock.pass(7 * DAY_MS - 1);
    assert_eq!((idle(&bed).as_str(), says_status(&bed)), ("", false));
    bed.clock.pass(1);
    assert!(says_status(&bed));
    let expected = "warn credential.idle: main: okx deletes this key after 14 days without use; 7 days are left";
    assert_eq!(idle(&bed), expected);
    bed.clock.pass(4 * DAY_MS);
    assert_eq!(idle(&bed), expected.replace("7 days are", "only 3 days are"));
    bed.clock.pass(2 * DAY_MS);
    assert_eq!(idle(&bed), expected.replace("7 days are", "less than a day is"));
    bed.clock.pass(DAY_MS);
    let over = expected.replace("warn", "fail").replace("7 days are left", "it may be gone already");
    assert_eq!(idle(&bed), over);
    bed.sign(&bob, "main").unwrap();
    assert_eq!((idle(&bed).as_str(), says_status(&bed)), ("", false));
}

#[test]
fn a_token_is_warned_of_before_it_expires_and_fails_after() {
    let (bed, _) = healthy();
    let mut add = bot("joe", "main", Some("reader"));
    add.expires_in_s = Some(10 * 86_400);
    let joe = bed.vault.add_bot(add).unwrap().token;
    bed.sign(&joe, "main").unwrap();
    back_up(&bed);
    assert_eq!(found(&bed), [""; 0]);
    bed.clock.pass(8 * DAY_MS);
    assert_eq!(found(&bed), ["warn bot.expiry: joe: its token expires; only 2 days are left"]);
    bed.clock.pass(2 * DAY_MS);
    assert_eq!(found(&bed), ["fail bot.expiry: joe: its token has expired and lets nobody in"]);
    assert!(bed.vault.warnings().iter().any(|words| words == "joe: its token has expired and lets nobody in"));
    bed.vault.revoke_bot("joe").unwrap();
    assert_eq!(of(&found(&bed), "bot.expiry"), [""; 0], "who revoked it knows");
    assert_eq!(of(&found(&bed), "bot.revoked"), ["warn bot.revoked: joe: revoked, and still kept"]);
}

#[test]
fn a_policy_that_allows_what_was_not_used_in_thirty_days_is_named_with_it() {
    let (bed, bob) = healthy();
    bed.set_policy(
        "reader",
        "grants = [\"read\", \"trade\"]\nendpoints = [\"GET /api/v5/account/balance\", \"POST /api/v5/trade/order\"]",
    );
    bed.sign(&bob, "main").unwrap();
    back_up(&bed);
    bed.clock.pass(29 * DAY_MS);
    assert_eq!(found(&bed), [""; 0], "a policy is judged when it was there for as long");
    bed.clock.pass(2 * DAY_MS);
    bed.sign(&bob, "main").unwrap();
    let wide = "warn bot.policy: bob: the policy reader allows what was not used in 30 days: the grant trade, \
                POST /api/v5/trade/order";
    assert_eq!(found(&bed), [wide]);
    let request = Request { method: Method::Post, path: "/api/v5/trade/order".to_owned(), body: Some("{}".to_owned()) };
    let ask = Ask { credential: "main".to_owned(), wanted: Wanted::Request(request) };
    sign(&bed.vault, vec![Asked { caller: bed.let_in(&bob).unwrap(), uid: None, ask }]).pop().unwrap().unwrap();
    assert_eq!(found(&bed), [""; 0]);
}

#[test]
fn a_bot_that_never_asked_and_a_key_that_nobody_uses_are_told() {
    let (bed, _) = healthy();
    bed.vault.add_credential(credential("spare", "one")).unwrap();
    bind(&bed, "spare", &["203.0.113.7"]);
    back_up(&bed);
    assert_eq!(found(&bed), ["warn credential.bot: spare: no bot may use this key"]);
    let mut add = bot("joe", "main", Some("reader"));
    add.credentials.push("spare".to_owned());
    let joe = bed.vault.add_bot(add).unwrap().token;
    assert_eq!(
        found(&bed),
        ["warn bot.seen: joe: has never asked for anything since it was added on 2023-11-14"],
        "that its key is not used either follows"
    );
    bed.sign(&joe, "main").unwrap();
    assert_eq!(found(&bed), ["warn credential.use: spare: this key has never signed anything"]);
    bed.sign(&joe, "spare").unwrap();
    assert_eq!(found(&bed), [""; 0]);
    let bed = bed.reopened();
    assert_eq!(found(&bed), [""; 0], "the ledger remembers who asked");
    bed.clock.pass(31 * DAY_MS);
    let lines = found(&bed);
    assert_eq!(of(&lines, "bot.seen").len(), 2, "{lines:?}");
    assert!(lines.contains(&"warn bot.seen: joe: has asked for nothing in 30 days".to_owned()), "{lines:?}");
}

#[test]
fn a_backup_is_asked_for_when_there_is_none_or_it_knows_too_little() {
    let bed = Bed::empty();
    bed.vault.add_credential(credential("main", "one")).unwrap();
    let backup = |bed: &Bed| of(&found(bed), "backup.age").concat();
    assert_eq!(backup(&bed), "warn backup.age: no backup was ever made");
    back_up(&bed);
    assert_eq!(backup(&bed), "");
    bed.clock.pass(40 * DAY_MS);
    assert_eq!(backup(&bed), "", "nothing has changed");
    bind(&bed, "main", &["203.0.113.7"]);
    assert_eq!(backup(&bed), "warn backup.age: the last backup is 40 days old, and the vault has changed since");
    back_up(&bed);
    assert_eq!(backup(&bed), "");
}

#[test]
fn a_backup_is_known_from_old_rows_once_they_are_verified_and_until_they_are_taken_out() {
    let (bed, bob) = healthy();
    // More than an unlock verifies at once.
    let body = to_body(bed.clock.now(), Event::Lock { why: "asked" });
    let entries = (0..INTERVAL_ROWS).map(|_| Entry { body: body.clone(), opens: None }).collect();
    let ledger = bed.vault.ledger().unwrap();
    ledger.settle(ledger.enqueue(UnixMs(0), entries, Vec::new())).unwrap();
    drop(ledger);
    for _ in 0..20 {
        bed.clock.pass(DAY_MS);
        bed.sign(&bob, "main").unwrap();
        bed.vault.tend().unwrap();
    }
    let bed = bed.reopened();
    let unknown = "skip backup.age: whether there is a backup is not known: older rows are still being verified";
    assert_eq!(found(&bed), [unknown]);
    bed.vault.tend().unwrap();
    assert_eq!(found(&bed), [""; 0]);
    bed.vault.prune(&bed.clock.wall().plus_ms(-8 * DAY_MS).to_string()).unwrap();
    assert_eq!(found(&bed), [""; 0], "this daemon has seen it");
    let bed = bed.reopened();
    bed.vault.tend().unwrap();
    assert_eq!(found(&bed), ["warn backup.age: no backup was made since 2023-11-26"]);
    back_up(&bed);
    assert_eq!(found(&bed), [""; 0]);
}

#[test]
fn a_recovery_key_is_known_once_it_was_tried() {
    let (bed, _) = healthy();
    let text =
        || SlotSecret::Recovery(SecretText::new("abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnopqrsa".to_owned()));
    let card = bed.vault.add_slot(text()).unwrap();
    let warned = format!("warn slot.recovery: the recovery key of slot {} has never opened the vault", card.id);
    assert_eq!(found(&bed), [warned.as_str()]);
    let rows = bed.rows().len();
    bed.unlock().unwrap();
    assert_eq!(bed.rows().len(), rows, "a key file that opens an open vault leaves no row");
    bed.vault.unlock(&SlotKey::parse(text()).unwrap(), Default::default()).unwrap();
    assert_eq!(found(&bed), [""; 0]);
    let bed = bed.reopened();
    assert_eq!(found(&bed), [""; 0]);
    bed.vault.remove_slot(card.id).unwrap();
    bed.clock.pass(1000);
    bed.vault.add_slot(text()).unwrap();
    assert_eq!(found(&bed), [warned], "the slot has its number again, and was not tried");
}

#[test]
fn a_clock_that_jumped_fails_and_is_remembered() {
    let (bed, bob) = healthy();
    bed.clock.jump(3_600_000);
    assert!(bed.sign(&bob, "main").is_err());
    let lines = found(&bed);
    let jump =
        "fail clock.jump: the wall clock is 3600000 ms from where the boot clock says it should be: nothing is signed";
    assert_eq!(of(&lines, "clock.jump"), [jump]);
    bed.clock.jump(-3_600_000);
    bed.vault.tend().unwrap();
    bed.clock.pass(10_000);
    bed.sign(&bob, "main").unwrap();
    assert_eq!(found(&bed), ["warn clock.jumps: 1 rows of the last 30 days tell of a wall clock that jumped"]);
    bed.clock.set_synchronised(true);
    let told = bed.vault.doctor().unwrap().findings;
    assert!(told.iter().any(|found| found.check == "clock.synchronised" && found.level == Level::Ok));
}

#[test]
fn a_locked_vault_says_so_and_what_it_cannot_say() {
    let (bed, _) = healthy();
    bed.vault.begin_to_set_mode(Mode::CancelOnly, None).unwrap().settled().unwrap();
    assert_eq!(found(&bed), ["warn vault.mode: the mode is cancel-only for everyone"]);
    bed.lock();
    let lines = found(&bed);
    assert_eq!(of(&lines, "vault.state"), ["warn vault.state: the vault is locked: bots are answered 423"]);
    assert_eq!(of(&lines, "vault.contents").len(), 1);
    assert_eq!(lines.len(), 2, "{lines:?}");
}

/// A clock by which every look takes long.
struct Slow(parking_lot::Mutex<Now>);

impl Clock for Slow {
    fn now(&self) -> Now {
        let mut now = self.0.lock();
        now.boot_ms += 400;
        *now
    }
}

#[test]
fn a_ledger_that_takes_too_long_is_not_read_to_its_end_and_nothing_is_made_up() {
    let (bed, bob) = healthy();
    let caller = bed.let_in(&bob).unwrap();
    for _ in 0..150 {
        let asks = (0..20).map(|_| asked(caller, "main")).collect();
        sign(&bed.vault, asks);
        bed.clock.pass(20_000);
    }
    let ledger = bed.vault.ledger().unwrap();
    let clock = Slow(parking_lot::Mutex::new(Now { wall: bed.clock.wall(), boot_ms: 0 }));
    let past = Past::read(&ledger, &clock).unwrap();
    assert_eq!((past.end, past.rows), (End::Late, 1000), "two pages");
    assert!(!past.reaches(bed.clock.wall().plus_ms(-3_600_000)));
    let past = Past::read(&ledger, &*bed.clock).unwrap();
    assert!(past.end == End::First && past.rows > 3000, "{:?}", past.end);
}

/// A log that a test reads.
#[derive(Clone, Default)]
struct Lines(Arc<parking_lot::Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_log_is_told_once_a_day_what_ends_soon() {
    let (bed, _) = healthy();
    bind(&bed, "main", &[]);
    let mut add = bot("joe", "main", Some("reader"));
    add.expires_in_s = Some(9 * 86_400);
    bed.vault.add_bot(add).unwrap();
    let lines = Lines::default();
    let writer = lines.clone();
    let log = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
    let told = |days: i64| {
        bed.clock.pass(days * DAY_MS);
        lines.0.lock().clear();
        for _ in 0..3 {
            bed.clock.pass(1000);
            bed.vault.tend().unwrap();
        }
        let text = String::from_utf8(lines.0.lock().clone()).unwrap();
        let about = text.lines().filter(|line| line.contains("days_left=")).map(str::to_owned);
        about.collect::<Vec<_>>()
    };
    tracing::subscriber::with_default(log, || {
        assert_eq!(told(0), [""; 0]);
        let soon = told(7);
        assert_eq!(soon.len(), 2, "{soon:?}");
        assert!(soon[0].contains("credential=main days_left=7") && soon[1].contains("bot=joe days_left=2"), "{soon:?}");
        assert!(soon[0].contains("WARN okx deletes this key") || soon[0].contains("okx deletes this key"), "{soon:?}");
        assert_eq!(told(0), [""; 0], "once a day");
        assert_eq!(told(1).len(), 2);
        bed.clock.jump(40 * DAY_MS);
        assert_eq!(told(0), [""; 0], "a clock that is not believed says nothing of days");
    });
}
