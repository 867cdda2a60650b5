//! The disk fills up. At every level of what is left: whatever can't be written is refused in so many words, what makes
//! a risk smaller holds all the same, nothing that was acknowledged is lost, and it heals when there is room.

use crate::disk::Disk;
use crate::run::Run;
use crate::support::http::Response;
use crate::support::signers::{ORDER, Sent};
use crate::support::{Daemon, Vault};
use crate::vaults::{Admin, Original, RESERVE, serve};
use crate::witness::{Witness, told, untyped};
use serde_json::json;
use std::thread;
use std::time::{Duration, Instant};

/// A disk without room for a reserve.
const SMALL_KIB: u64 = 4 * 1024;
/// A disk with room for the reserve of 16 MiB.
const ROOMY_KIB: u64 = 64 * 1024;
/// Levels between a full disk and room for some hundred rows.
const LEVELS_KIB: u64 = 256;
/// What is signed at most until the disk is full.
const MOST_ORDERS: usize = 400;
const CANCEL: &str = "/api/v5/trade/cancel-order";

/// T68. A round is one level; in every second one it is locked while the disk is full.
pub fn t68_a_disk_that_fills_up_refuses_and_heals(run: &mut Run) {
    let original = Original::new();
    for number in 0..run.rounds {
        let left_kib = LEVELS_KIB * number as u64 / run.rounds as u64;
        let anchor_too = number % 3 == 0;
        run.round(format!("{left_kib} KiB left"), |_| {
            let vault = original.copy();
            let _anchor = anchor_too.then(|| {
                let anchor = Disk::over(&vault.anchor_dir(), 64);
                anchor.fill(0);
                anchor
            });
            let disk = Disk::over(&vault.state_dir(), SMALL_KIB);
            Level::on(&vault, &disk, &original, "0").full_at(left_kib, number % 2 == 1)
        });
    }
}

/// T68. A round is a disk that was roomy and gets full: what was held in reserve goes to cancels and to the admin.
pub fn t68_a_reserve_is_kept_for_cancels_and_the_admin(run: &mut Run) {
    let original = Original::new();
    for _ in 0..run.rounds {
        run.round("full with a reserve", |_| {
            let vault = original.copy();
            let disk = Disk::over(&vault.state_dir(), ROOMY_KIB);
            Level::on(&vault, &disk, &original, "0").full_with_a_reserve()
        });
    }
}

/// T68. A round is a disk with little space: the daemon is cancel-only by itself, and not when there is more.
pub fn t68_little_space_is_cancel_only(run: &mut Run) {
    let original = Original::new();
    for _ in 0..run.rounds {
        run.round("less than 32 MiB left", |_| {
            let vault = original.copy();
            let disk = Disk::over(&vault.state_dir(), ROOMY_KIB);
            Level::on(&vault, &disk, &original, "32").low()
        });
    }
}

/// A daemon on a disk.
struct Level<'a> {
    vault: &'a Vault,
    disk: &'a Disk,
    original: &'a Original,
    daemon: Daemon<'a>,
    admin: Admin,
    asks: usize,
    witness: Witness,
    wrong: Vec<String>,
}

impl<'a> Level<'a> {
    /// Unlocked, with room, and with the bot `eve` besides the original's.
    fn on(vault: &'a Vault, disk: &'a Disk, original: &'a Original, low_space_mib: &str) -> Level<'a> {
        let mut command = serve(vault);
        command.env("SIGNVAULT_AUDIT_LOW_SPACE_MIB", low_space_mib);
        let daemon = vault.serve_by(command);
        let admin = Admin::of(&daemon);
        admin.unlock(&original.key).ok();
        admin.try_add_bot("eve").expect("an answer").ok();
        let mut witness = Witness::default();
        witness.added.insert("eve".to_owned());
        Level { vault, disk, original, daemon, admin, asks: 0, witness, wrong: Vec::new() }
    }

    fn full_at(mut self, left_kib: u64, locks: bool) -> Vec<String> {
        self.disk.fill(left_kib);
        let signed = (0..MOST_ORDERS).take_while(|_| self.order() == 200).count();
        self.require(signed < MOST_ORDERS, "the disk is full and it signs on");
        for path in [CANCEL, "/api/v5/account/balance"] {
            self.ask(path);
        }
        self.holds_at_once();
        if locks {
            self.lock();
        }
        self.disk.clear();
        if locks {
            self.opens();
        }
        self.heals();
        // A lock may take what is owed with it, and says so; otherwise the row follows by itself.
        if !locks {
            self.witness.revoked.insert("eve".to_owned());
        }
        self.compare_now_and_later()
    }

    /// What an admin does against a risk is true at once, whatever becomes of its row.
    fn holds_at_once(&mut self) {
        self.require(self.admin.status()["state"] == "unlocked", "it does not say its state");
        let mode = self.admin.ask("PUT", "/v1/mode", Some(&json!({ "mode": "cancel-only" })));
        self.applied("mode", &mode);
        let order = self.order();
        self.require(order == 403 || order == 503, "an order in cancel-only");
        self.witness.asked_to_revoke.insert("eve".to_owned());
        let revoked = self.admin.ask("POST", "/v1/bots/eve/revoke", None);
        self.applied("revoke", &revoked);
        let ready = self.daemon.tcp().request("GET", "/ready", None, None);
        self.require(ready.status == 503 || ready.status == 200, "no answer from /ready");
    }

    fn lock(&mut self) {
        let locked = self.admin.ask("POST", "/v1/lock", None);
        self.applied("lock", &locked);
        self.require(self.admin.status()["state"] == "locked", "it is not locked");
        let order = self.order();
        self.require(order == 423, "a locked vault signs");
    }

    /// With room again it unlocks: at once, or when the row about the lock has followed.
    fn opens(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            let answer = self.admin.unlock(&self.original.key);
            if answer.status == 200 {
                return;
            }
            self.wrong.extend(untyped(&answer));
            assert!(Instant::now() < deadline, "it does not unlock: {}", told(&answer));
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn heals(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.admin.ask("PUT", "/v1/mode", Some(&json!({ "mode": "normal" }))).status != 200 || self.order() != 200
        {
            if Instant::now() > deadline {
                self.wrong.push("it does not heal when there is room".to_owned());
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn full_with_a_reserve(mut self) -> Vec<String> {
        let reserve = self.vault.state_dir().join(RESERVE);
        let deadline = Instant::now() + Duration::from_secs(5);
        while !reserve.exists() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(50));
        }
        self.require(reserve.exists(), "there is no reserve");
        self.disk.fill(0);
        let signed = (0..MOST_ORDERS).take_while(|_| self.order() == 200).count();
        self.require(signed < MOST_ORDERS, "the disk is full and it signs orders on");
        for _ in 0..20 {
            let (cancel, order) = (self.ask(CANCEL), self.order());
            if cancel != 200 || order == 200 {
                self.wrong.push(format!("out of the reserve: a cancel {cancel}, an order {order}"));
                break;
            }
        }
        for (method, path, body) in [
            ("PUT", "/v1/mode", Some(json!({ "mode": "cancel-only" }))),
            ("POST", "/v1/bots/eve/revoke", None),
            ("POST", "/v1/lock", None),
        ] {
            let answer = self.admin.ask(method, path, body.as_ref());
            self.require(answer.status == 200, &format!("{method} {path}: {}", told(&answer)));
        }
        self.witness.asked_to_revoke.insert("eve".to_owned());
        self.witness.revoked.insert("eve".to_owned());
        self.disk.clear();
        self.opens();
        self.heals();
        self.compare_now_and_later()
    }

    fn low(mut self) -> Vec<String> {
        let order = self.order();
        self.require(order == 200, "there is room, and it does not sign");
        self.disk.fill(16 * 1024);
        self.within_two_seconds("it is not cancel-only", |level| level.order() == 403 && level.ask(CANCEL) == 200);
        self.disk.clear();
        self.within_two_seconds("it stays cancel-only", |level| level.order() == 200);
        self.compare_now_and_later()
    }

    /// Space is looked at once a second.
    fn within_two_seconds(&mut self, otherwise: &str, mut holds: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + Duration::from_millis(2500);
        while !holds(self) {
            if Instant::now() > deadline {
                self.wrong.push(otherwise.to_owned());
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn order(&mut self) -> u16 {
        self.ask(ORDER)
    }

    /// Asks for a signature; the witness remembers it, and a refusal must be a typed one.
    fn ask(&mut self, path: &str) -> u16 {
        self.asks += 1;
        let number = self.asks;
        let (method, body) = match path {
            ORDER => ("POST", Some(format!(r#"{{"instId":"BTC-USDT","clOrdId":"f{number}"}}"#))),
            CANCEL => ("POST", Some(format!(r#"{{"instId":"BTC-USDT","ordId":"{number}"}}"#))),
            _ => ("GET", None),
        };
        let answer = self.daemon.tcp().sign(&self.original.token, "main", method, path, body.as_deref());
        let status = answer.status;
        if status != 403 {
            self.wrong.extend(untyped(&answer));
        }
        if let Some(body) = body {
            self.witness.sent.push(Sent { at: Instant::now(), body, response: answer });
        }
        status
    }

    /// It succeeded, or it holds in memory and says so.
    fn applied(&mut self, what: &str, answer: &Response) {
        let in_memory = || answer.json()["applied"] == "memory";
        let holds = answer.status == 200 || answer.status == 503 && answer.code() == "audit.unavailable" && in_memory();
        self.require(holds, &format!("{what}: {}", told(answer)));
    }

    fn require(&mut self, holds: bool, otherwise: &str) {
        if !holds {
            self.wrong.push(otherwise.to_owned());
        }
    }

    /// Now, and after a restart.
    fn compare_now_and_later(mut self) -> Vec<String> {
        self.wrong.extend(self.witness.what_is_wrong(&self.daemon));
        self.daemon.kill();
        let daemon = self.vault.serve();
        Admin::of(&daemon).unlock(&self.original.key).ok();
        self.wrong.extend(self.witness.what_is_wrong(&daemon));
        self.wrong
    }
}
