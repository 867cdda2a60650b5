//! The known answers of the vault format, made by an implementation that shares no code with this one.

use std::collections::HashMap;

use data_encoding::HEXLOWER;
use serde::Deserialize;

use crate::types::id::Id;

/// `tests/vectors/vault_format_kat.json`. Bytes are lower-case hexadecimal.
#[derive(Deserialize)]
pub struct KnownAnswers {
    vault_id: String,
    vault_key: String,
    pub slots: Vec<KnownSlot>,
    pub subkeys: HashMap<String, String>,
    pub records: Vec<KnownRecord>,
    pub audit: Vec<KnownRow>,
}

#[derive(Deserialize)]
pub struct KnownSlot {
    pub name: String,
    pub secret: String,
    pub header: String,
    pub kek: String,
    pub commitment: String,
    pub wrapped: String,
}

#[derive(Deserialize)]
pub struct KnownRecord {
    pub table: String,
    pub id: String,
    pub version: u64,
    pub kind: u8,
    pub epoch: u32,
    pub rand32: String,
    pub plaintext: String,
    pub salt: String,
    pub commitment: String,
    pub ciphertext: String,
}

#[derive(Deserialize)]
pub struct KnownRow {
    pub sequence: u64,
    pub body: String,
    pub head: String,
}

/// `tests/vectors/gcm_multikey_*.json`: one ciphertext that opens under every one of these keys.
#[derive(Deserialize)]
pub struct MultiKey {
    pub keys: Vec<String>,
    pub nonce: String,
    pub aad: String,
    pub ct_tag: String,
}

impl KnownAnswers {
    pub fn load() -> KnownAnswers {
        serde_json::from_str(include_str!("../../tests/vectors/vault_format_kat.json")).unwrap()
    }

    pub fn vault_id(&self) -> Id {
        Id(hex(&self.vault_id).try_into().unwrap())
    }

    pub fn vault_key(&self) -> [u8; 32] {
        hex(&self.vault_key).try_into().unwrap()
    }

    pub fn slot(&self, name: &str) -> &KnownSlot {
        self.slots.iter().find(|slot| slot.name == name).unwrap()
    }
}

impl MultiKey {
    pub fn load_both() -> [MultiKey; 2] {
        [
            serde_json::from_str(include_str!("../../tests/vectors/gcm_multikey_2.json")).unwrap(),
            serde_json::from_str(include_str!("../../tests/vectors/gcm_multikey_4.json")).unwrap(),
        ]
    }
}

pub fn hex(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.as_bytes()).unwrap()
}
