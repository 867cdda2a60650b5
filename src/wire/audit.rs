//! The ledger as it goes over the wire: read, verified, signed and pruned.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The query of `GET /v1/audit`.
#[derive(Debug, Default, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditQuery {
    /// Rows after this sequence number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// The newest rows instead of the oldest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<bool>,
    /// At most this many rows: 1 to 1000, 100 unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Only this bot's rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bot: Option<String>,
    /// Only rows that name this credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// Only rows at or after this moment: RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Only denials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denied: Option<bool>,
}

/// One ledger row: `body` is the exact text that the chain covers.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditRow {
    /// Its sequence number, from 1.
    pub seq: u64,
    /// The chain value after this row, hexadecimal.
    pub head: String,
    /// The row: JSON text.
    pub body: String,
}

/// A page of the ledger.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditPage {
    /// The rows, oldest first.
    pub rows: Vec<AuditRow>,
    /// Ask again with `after` set to this when it is present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<u64>,
}

/// The answer of `GET /v1/audit/verify`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditVerified {
    /// Rows checked.
    pub rows: u64,
    /// The first sequence number kept.
    pub first: u64,
    /// The last sequence number.
    pub last: u64,
    /// The last chain value, hexadecimal.
    pub head: String,
}

/// The answer of `GET /v1/audit/key`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditKey {
    /// The vault's id.
    pub vault: String,
    /// `ed25519`.
    pub algorithm: String,
    /// The public key that checkpoints are signed for, 64 hexadecimal digits.
    pub key: String,
}

/// The answer of `POST /v1/audit/checkpoint`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditCheckpoint {
    /// The row of the last checkpoint.
    pub row: u64,
    /// Whether it was made now; there was nothing new to sign otherwise.
    pub is_new: bool,
}

/// `POST /v1/audit/prune`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditPrune {
    /// Rows before this moment go: RFC 3339, at least seven days ago.
    pub before: String,
}

/// The answer to a prune.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditPruned {
    /// Rows that were taken out now.
    pub rows: u64,
    /// The first row that is kept.
    pub first: u64,
    /// Whether no row is left to take out; ask again otherwise.
    pub is_done: bool,
}
