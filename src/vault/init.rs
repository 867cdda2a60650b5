//! Making a vault. It is built under another name and gets its own only when it is whole, so a vault is there or not.

use crate::audit::chain::Link;
use crate::audit::event::{Event, to_body};
use crate::crypto::kdf::Argon2Params;
use crate::crypto::keys::{self, VaultKey};
use crate::crypto::random::generate_random;
use crate::crypto::recovery::RecoveryKey;
use crate::crypto::slot::{Slot, SlotError, SlotHeader, SlotMethod};
use crate::secret::{Arena, SecretBytes};
use crate::store::anchor::{Anchor, Mark};
use crate::store::file::{self, Paths};
use crate::store::record::Table;
use crate::store::{StoreError, first};
use crate::types::clock::Clock;
use crate::types::id::Id;
use crate::vault::checkpoint;
use crate::vault::keyring::Keyring;
use std::io;
use std::path::PathBuf;

/// The shortest password at `init`, in bytes.
pub const MIN_PASSWORD_BYTES: usize = 12;

/// Why there is no new vault. Nothing of one was left behind; an older anchor may stand aside.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// There is one already.
    #[error("there is a vault already")]
    Exists,
    /// A daemon has a vault open whose anchor is here.
    #[error("a daemon has the vault of this anchor open")]
    Held,
    /// Too short or too long.
    #[error("a password has 12 to 1024 bytes")]
    Password,
    /// The kernel gave no random bytes, no memory, or no locked memory.
    #[error("the machine has not enough {0}")]
    Machine(&'static str),
    /// The files could not be made.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was found in the way of a new vault.
#[derive(Debug)]
pub struct Made {
    /// Where the anchor of a vault is now that is not in the state directory any more.
    pub kept_anchor: Option<PathBuf>,
}

/// Makes a vault with a password slot and, when a key is given, a recovery slot. Run as root for another's directory,
/// the files are given to the directory's owner.
///
/// # Errors
/// [`InitError`].
pub fn create(
    paths: &Paths,
    password: &SecretBytes,
    recovery: Option<&RecoveryKey>,
    params: Argon2Params,
    clock: &dyn Clock,
) -> Result<Made, InitError> {
    if !(MIN_PASSWORD_BYTES..=super::unlock::MAX_PASSWORD_BYTES).contains(&password.len()) {
        return Err(InitError::Password);
    }
    file::private_dir(&paths.state_dir)?;
    file::private_dir(&paths.anchor_dir)?;
    let _until_it_is_made = file::alone_in(&paths.state_dir)?;
    if file::is_occupied(paths) {
        return Err(InitError::Exists);
    }
    if Anchor::is_held(&paths.anchor()) {
        return Err(InitError::Held);
    }
    let now = clock.now();
    let vault_id = Id(generate_random().map_err(|_| no_random())?);
    let vault_key = VaultKey::generate().map_err(|_| no_random())?;
    let created_s = now.wall.seconds().unsigned_abs();
    // EXPOSE: to the slots that wrap the new key, and to the derivation of each slot's own key.
    let mut slots =
        vec![make_slot(vault_id, 1, SlotMethod::Password(params), created_s, password.expose(), vault_key.expose())?];
    if let Some(key) = recovery {
        slots.push(make_slot(vault_id, 2, SlotMethod::Recovery, created_s, key.expose(), vault_key.expose())?);
    }
    let arena = Arena::new().map_err(|_| InitError::Machine("locked memory for the keys"))?;
    let (ledger_keys, record_keys) =
        keys::derive(&arena, vault_id, vault_key, 1).map_err(|_| InitError::Machine("locked memory for the keys"))?;
    let keyring = Keyring::new(record_keys, vault_id, 1);
    let (signing_key, _) = checkpoint::generate(&keyring).map_err(|_| no_random())?;
    let records = [(Table::Setting, signing_key)];
    let body = to_body(now, Event::Init);
    let tail = Link::START.next(ledger_keys.audit.expose(), &vault_id, &body);
    let building = paths.state_dir.join("vault.db.new");
    let content = first::Content { slots: &slots, records: &records };
    let built = first::build(&building, &ledger_keys, vault_id, &content, &body, tail, now.wall);
    let published = built.map_err(InitError::from).and_then(|()| {
        let kept_anchor = Anchor::keep_aside(&paths.anchor()).map_err(file::failed("an older anchor is in the way"))?;
        let mark = Mark { state_version: 1, audit: tail };
        // EXPOSE: to the anchor's MAC.
        Anchor::create(&paths.anchor(), ledger_keys.anchor.expose(), &vault_id, mark)?;
        publish(&building, paths)?;
        Ok(Made { kept_anchor })
    });
    if published.is_err() {
        first::discard(&building);
    }
    published
}

fn publish(building: &std::path::Path, paths: &Paths) -> Result<(), InitError> {
    match file::publish(building, &paths.database()) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(InitError::Exists),
        other => other.map_err(file::failed("the new vault could not be put in place"))?,
    }
    let given = file::give_to_owner_of(&paths.state_dir, &[paths.database()])
        .and_then(|()| file::give_to_owner_of(&paths.state_dir, &[paths.anchor_dir.clone(), paths.anchor()]));
    given.map_err(file::failed("the new vault could not be given to the directory's owner"))?;
    Ok(())
}

/// Wraps the vault key for one secret, with a fresh salt.
///
/// # Errors
/// The kernel gave no random bytes or no memory.
pub fn make_slot(
    vault_id: Id,
    slot_id: u32,
    method: SlotMethod,
    created_s: u64,
    secret: &[u8],
    vault_key: &[u8; 32],
) -> Result<Slot, InitError> {
    let salt = generate_random().map_err(|_| no_random())?;
    let header = SlotHeader { vault_id, method, salt, slot_id, created_s };
    Slot::wrap(header, secret, vault_key).map_err(|error| match error {
        SlotError::OutOfMemory => InitError::Machine("memory for the password hash"),
        SlotError::OutOfBounds | SlotError::Refused => InitError::Password,
    })
}

fn no_random() -> InitError {
    InitError::Machine("random numbers")
}
