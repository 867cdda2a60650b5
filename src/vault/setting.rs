//! Records of the vault itself: what is no credential, bot or policy. Each has an id of its own that is not random,
//! because there is only one of it.

use crate::secret::{SecretText, serialize_exposed};
use crate::types::id::Id;
use crate::types::mode::Mode;
use serde::{Deserialize, Serialize};

/// The record that keeps the mode.
pub const MODE: Id = Id(*b"signvault / mode");

/// The record that keeps the key of checkpoints.
pub const SIGNING_KEY: Id = Id(*b"signvault / sign");

/// The record that keeps the audit key of an epoch that is over.
pub fn audit_key_id(epoch: u32) -> Id {
    let mut id = *b"audit key / \0\0\0\0";
    id[12..].copy_from_slice(&epoch.to_be_bytes());
    Id(id)
}

/// A setting's record.
#[derive(Serialize, Deserialize)]
#[serde(tag = "setting", rename_all = "snake_case")]
pub enum Setting {
    /// The mode for everyone.
    Mode {
        /// How much may happen.
        mode: Mode,
    },
    /// The key that signs checkpoints.
    SigningKey {
        /// The seed, hexadecimal.
        #[serde(serialize_with = "serialize_exposed")]
        seed: SecretText,
    },
    /// The audit key of an epoch that is over: it verifies the rows that it chained.
    AuditKey {
        /// The first row.
        first_seq: u64,
        /// The last row.
        last_seq: u64,
        /// The key, in lower-case hexadecimal.
        #[serde(serialize_with = "serialize_exposed")]
        key: SecretText,
    },
}
