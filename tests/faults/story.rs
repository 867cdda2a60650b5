//! A day of a vault in a second: unlocked, signing, changed, backed up, locked, unlocked again. Every answer is a success
//! or a typed refusal, and whatever was refused succeeds when it is asked again: that is what healing means.

use crate::support::http::{Connection, Response};
use crate::support::signers::{ORDER, Sent};
use crate::support::{Answer, Daemon};
use crate::vaults::{Admin, BOT, Original};
use crate::witness::{Witness, untyped};
use serde_json::{Value, json};
use std::io;
use std::time::{Duration, Instant};

/// How often a thing is asked for before it counts as never healing.
const TRIES: usize = 12;
/// Between two tries.
const REST: Duration = Duration::from_millis(250);

/// One telling of it.
pub struct Story<'a> {
    daemon: &'a Daemon<'a>,
    original: &'a Original,
    admin: Admin,
    asks: usize,
    /// What was acknowledged.
    pub witness: Witness,
    /// What is wrong so far.
    pub wrong: Vec<String>,
    /// How many answers were refusals.
    pub refusals: usize,
}

impl<'a> Story<'a> {
    /// A story that begins with a locked daemon over a copy of the original.
    pub fn of(daemon: &'a Daemon<'a>, original: &'a Original) -> Story<'a> {
        let admin = Admin::of(daemon);
        Story { daemon, original, admin, asks: 0, witness: Witness::default(), wrong: Vec::new(), refusals: 0 }
    }

    /// Tells all of it.
    pub fn tell(&mut self) {
        self.unlock();
        self.sign(3);
        self.add("eve");
        self.admin_does("POST", "/v1/slots", Some(json!({ "secret": { "key_file": "A".repeat(43) + "=" } })));
        self.sign(1);
        self.admin_does("DELETE", "/v1/slots/3", None);
        self.witness.asked_to_revoke.insert("eve".to_owned());
        if self.admin_does("POST", "/v1/bots/eve/revoke", None) {
            self.witness.revoked.insert("eve".to_owned());
        }
        for mode in ["cancel-only", "normal"] {
            self.admin_does("PUT", "/v1/mode", Some(json!({ "mode": mode, "bot": BOT })));
        }
        self.back_up();
        self.lock();
        self.unlock();
        self.sign(2);
    }

    /// Unlocks with the key file.
    pub fn unlock(&mut self) {
        let (admin, key) = (self.admin.clone(), self.original.key.clone());
        self.until_it_succeeds("unlock", || Ok(admin.unlock(&key)));
    }

    /// Signs orders over either transport.
    pub fn sign(&mut self, orders: usize) {
        for _ in 0..orders {
            self.asks += 1;
            let (daemon, token) = (self.daemon, self.original.token.clone());
            let number = self.asks;
            let body = format!(r#"{{"instId":"BTC-USDT","clOrdId":"s{number}"}}"#);
            let ask = || {
                let mut connection = match number % 2 {
                    0 => Connection::try_tcp(daemon.port)?,
                    _ => Connection::try_unix(&daemon.sign_socket())?,
                };
                connection.try_sign(&token, "main", "POST", ORDER, Some(&body))
            };
            if let Some(response) = self.until_it_succeeds("sign", ask) {
                self.witness.sent.push(Sent { at: Instant::now(), body: body.clone(), response });
            }
        }
    }

    /// Adds a bot.
    pub fn add(&mut self, name: &str) {
        if self.admin_does("POST", "/v1/bots", Some(json!({ "name": name, "credentials": ["main"] }))) {
            self.witness.added.insert(name.to_owned());
        }
    }

    /// Locks. The refusal of the row is no reason to stay open.
    pub fn lock(&mut self) {
        let answer = self.admin.ask("POST", "/v1/lock", None);
        self.look_at("lock", &answer);
        let state = self.admin.status()["state"].clone();
        if state != "locked" {
            self.wrong.push(format!("after a lock it is {state}"));
        }
    }

    /// Makes a backup.
    pub fn back_up(&mut self) {
        let file = self.daemon.vault.dir().join("backup").to_str().expect("UTF-8").to_owned();
        for _ in 0..TRIES {
            // A piece of one that broke off.
            let _ = std::fs::remove_file(&file);
            let Answer { code, stderr, .. } = self.daemon.run(&["backup", &file], "");
            if code == 0 {
                return;
            }
            self.refusals += 1;
            if code != 1 || stderr.contains("internal") || stderr.contains("panicked") {
                self.wrong.push(format!("backup ended with {code}: {stderr}"));
            }
            std::thread::sleep(REST);
        }
        self.wrong.push("backup: it does not heal".to_owned());
    }

    /// Something that an admin does until it is done.
    pub fn admin_does(&mut self, method: &str, path: &str, body: Option<Value>) -> bool {
        let admin = self.admin.clone();
        self.until_it_succeeds(&format!("{method} {path}"), || admin.try_ask(method, path, body.as_ref())).is_some()
    }

    fn until_it_succeeds(&mut self, what: &str, mut ask: impl FnMut() -> io::Result<Response>) -> Option<Response> {
        for _ in 0..TRIES {
            match ask() {
                Ok(answer) if answer.status == 200 => return Some(answer),
                Ok(answer) => self.look_at(what, &answer),
                Err(error) => {
                    self.wrong.push(format!("{what}: {error}"));
                    return None;
                }
            }
            std::thread::sleep(REST);
        }
        self.wrong.push(format!("{what}: it does not heal"));
        None
    }

    fn look_at(&mut self, what: &str, answer: &Response) {
        self.refusals += usize::from(answer.status != 200);
        self.wrong.extend(untyped(answer).map(|wrong| format!("{what}: {wrong}")));
    }
}
