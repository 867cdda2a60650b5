//! Files that someone else wrote to: every change is noticed before the first signature, named, and nothing is written.
//! The numbers are those of the test programme. Each round goes through the admin socket and the command line; the
//! vault's own tests do the same to every byte.

mod files;
mod ledger;
mod rows;
mod slots;

use crate::support::files::Tree;
use crate::support::http::Response;
use crate::support::{API_KEY, Daemon, PASSPHRASE, SECRET, Vault};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

/// What an unlock says of a vault that was changed.
type Said = (u16, String);

/// A vault with two credentials, bots and policies, some ledger rows, and a key file, so that no round pays for a hash.
fn filled() -> Vault {
    let vault = Vault::new();
    vault.with_key_file();
    let daemon = vault.serve();
    daemon.unlock_with(&vault.key_file());
    for name in ["one", "two"] {
        daemon.add_credential(name);
        let token = daemon.add_bot(&format!("bot-{name}"), name, &["read"]);
        daemon.tcp().sign(&token, name, "GET", "/api/v5/account/balance", None).ok();
    }
    daemon.terminate();
    vault
}

/// A vault that is changed and put back again and again under one locked daemon, which holds nothing of it open.
struct Rounds<'a> {
    vault: &'a Vault,
    daemon: Daemon<'a>,
    pristine: Tree,
}

impl<'a> Rounds<'a> {
    fn over(vault: &'a Vault) -> Rounds<'a> {
        let daemon = vault.serve();
        Rounds { vault, daemon, pristine: vault.files() }
    }

    fn unlock(&self, more: Value) -> Response {
        let key = BASE64_STANDARD.encode(std::fs::read(self.vault.key_file()).expect("a key"));
        let mut request = json!({ "secret": { "key_file": key } });
        request.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        self.daemon.admin().request("POST", "/v1/unlock", None, Some(&request.to_string()))
    }

    /// The answer to an unlock of the vault as it is now, the same on the command line. Nothing may change by it, and it
    /// tells nothing that is secret.
    #[track_caller]
    fn refusal(&self, what: &str) -> Said {
        let before = self.vault.files();
        let answer = self.unlock(json!({}));
        assert_eq!(answer.status, 409, "{what}: {}", answer.code());
        let told = self.daemon.run(&["unlock", "--key-file", &self.vault.key_file()], "").fails(6);
        assert!(told.contains(&answer.code()), "{what}: {told}");
        self.keeps_secrets(&told, what);
        self.keeps_secrets(&String::from_utf8_lossy(&answer.body), what);
        assert!(self.vault.files() == before, "{what}: the files were changed by the refusal");
        assert_eq!(self.daemon.state(), "locked", "{what}");
        (answer.status, answer.code())
    }

    #[track_caller]
    fn keeps_secrets(&self, text: &str, what: &str) {
        let key = std::fs::read(self.vault.key_file()).expect("a key");
        let key = [BASE64_STANDARD.encode(&key), data_encoding::HEXLOWER.encode(&key)];
        let markers = [SECRET, PASSPHRASE, API_KEY, "svb_", &key[0], &key[1]];
        assert!(markers.iter().all(|marker| !text.contains(marker)), "{what}: {text}");
    }

    /// Puts everything back.
    fn restore(&self) {
        for path in self.vault.files().keys().filter(|path| !self.pristine.contains_key(*path)) {
            std::fs::remove_file(path).expect("removed");
        }
        for (path, (_, content)) in self.pristine.iter().filter(|(path, _)| !path.is_dir()) {
            std::fs::write(path, content).expect("written");
        }
    }

    /// Changes the database, expects this refusal, and puts everything back.
    #[track_caller]
    fn round(&self, sql: &str, code: &str) {
        self.vault.edit(sql);
        assert_eq!(self.refusal(sql), (409, code.to_owned()), "{sql}");
        self.restore();
    }

    /// With everything put back it opens, and what was logged meanwhile tells nothing that is secret.
    #[track_caller]
    fn unlocks(&self) {
        let answer = self.unlock(json!({}));
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        self.keeps_secrets(&self.vault.log(), "the log");
    }
}

fn blob(vault: &Vault, sql: &str) -> Vec<u8> {
    vault.database().query_row(sql, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{sql}: {error}"))
}
