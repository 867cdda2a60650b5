//! Unlocking at the start, and without a person: a key file that the service manager hands over as a credential (systemd.exec(5),
//! `LoadCredentialEncrypted=`). A box that boots by itself then signs again by itself.
//!
//! Whatever is wrong with the key, the daemon starts: locked, with a line in the log that says so, and ready for a person.
//! To end instead would be to start again and fail again, and no person could unlock it either.

use crate::config::{self, Env};
use crate::crypto::slot::SlotKind;
use crate::secret::SecretBytes;
use crate::secret::read::read_secret_to_end;
use crate::vault::Vault;
use crate::vault::unlock::{Accept, SlotKey, UnlockError};
use std::io;
use std::path::PathBuf;

/// The name of the credential.
pub const CREDENTIAL: &str = "signvault.key";
/// A key file has so many bytes.
const KEY_BYTES: usize = 32;

/// Where the service manager puts the key file, if it puts credentials anywhere.
fn key_file(env: &Env) -> Option<PathBuf> {
    env.path("CREDENTIALS_DIRECTORY").map(|directory| directory.join(CREDENTIAL))
}

/// Reads the key that the service manager handed over. None when there is none, or none that can be used: then
/// the log says so, if the service manager hands over anything at all.
fn read_key(path: Option<PathBuf>) -> Option<SlotKey> {
    let path = path?;
    let read =
        config::file::open(&path).and_then(|file| read_secret_to_end(&file, KEY_BYTES).map_err(io::Error::other));
    match read {
        Ok(secret) if secret.len() == KEY_BYTES => Some(SlotKey { kind: SlotKind::KeyFile, secret }),
        Ok(_) => complain("it is not a key file of 32 bytes"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // As usual where a person unlocks.
            tracing::warn!(
                credential = CREDENTIAL,
                "no key was handed over; the vault stays locked: run `signvault unlock`"
            );
            None
        }
        Err(error) => complain(&error.to_string()),
    }
}

fn complain(reason: &str) -> Option<SlotKey> {
    tracing::error!(
        credential = CREDENTIAL,
        reason,
        "no unattended unlock; the vault stays locked: run `signvault unlock`"
    );
    None
}

/// How the vault is unlocked before anybody is served.
pub enum FirstUnlock {
    /// With a password that somebody typed or piped in: if it is wrong they want to know.
    Password(SlotKey),
    /// With a key that the service manager handed over.
    KeyFile(SlotKey),
    /// Not at all.
    Later,
}

impl FirstUnlock {
    /// A password before a key, and a key where there is one.
    pub fn with(password: Option<SecretBytes>, env: &Env) -> FirstUnlock {
        match password {
            Some(secret) => FirstUnlock::Password(SlotKey { kind: SlotKind::Password, secret }),
            None => read_key(key_file(env)).map_or(FirstUnlock::Later, FirstUnlock::KeyFile),
        }
    }

    /// Unlocks.
    ///
    /// # Errors
    /// The password does not open the vault, or the vault can't be opened. With a key the vault stays locked, and the log says
    /// why.
    pub fn run(self, vault: &Vault) -> Result<(), UnlockError> {
        match self {
            FirstUnlock::Password(password) => {
                vault.unlock(&password, Accept::default())?;
                vault.lay_out_log();
            }
            FirstUnlock::KeyFile(key) => unlock(vault, &key),
            FirstUnlock::Later => (),
        }
        Ok(())
    }
}

/// Unlocks with the key, or says why not and leaves the vault locked.
fn unlock(vault: &Vault, key: &SlotKey) {
    match vault.unlock(key, Accept::default()) {
        Ok(_) => vault.lay_out_log(),
        Err(error) => {
            let reason = error.to_string();
            tracing::error!(
                credential = CREDENTIAL,
                reason,
                "no unattended unlock; the vault stays locked: run `signvault unlock`"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_of_32_bytes_is_a_key() {
        let dir = tempfile::tempdir().unwrap();
        let with = |bytes: usize| {
            let path = dir.path().join(CREDENTIAL);
            std::fs::write(&path, vec![7; bytes]).unwrap();
            read_key(Some(path)).map(|key| (key.kind, key.secret.len()))
        };
        assert_eq!(with(32), Some((SlotKind::KeyFile, 32)));
        assert_eq!((with(31), with(33), with(0)), (None, None, None));
        assert!(read_key(None).is_none() && read_key(Some(dir.path().join("other"))).is_none());
        assert!(read_key(Some(dir.path().to_owned())).is_none());
    }
}
