//! The shapes of policies, their reference prices, and modes.

use crate::types::endpoint::Grant;
use crate::types::mode::Mode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// `PUT /v1/policies/{name}`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicySet {
    /// The policy file's text (TOML).
    pub text: String,
}

/// A policy.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PolicyCard {
    /// Its name.
    pub name: String,
    /// How often it was set.
    pub version: u64,
    /// Its grants.
    pub grants: Vec<Grant>,
    /// What it means, in words.
    pub words: Vec<String>,
    /// The prices that orders are compared with, by instrument.
    pub references: BTreeMap<String, ReferenceCard>,
    /// The bots under it.
    pub bots: Vec<String>,
    /// Its text.
    pub text: String,
}

/// A reference price.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ReferenceCard {
    /// The price.
    pub price: String,
    /// When it was given: RFC 3339, UTC.
    pub given: String,
}

/// `PUT /v1/policies/{name}/references/{instrument}`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReferenceSet {
    /// The price, a decimal number.
    pub price: String,
}

/// A policy that was set.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PolicyWasSet {
    /// The policy.
    #[serde(flatten)]
    pub policy: PolicyCard,
    /// Whether there was none of that name before.
    pub is_new: bool,
    /// What became wider or narrower than before.
    pub changes: Vec<PolicyChange>,
}

/// A difference between two versions of a policy.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PolicyChange {
    /// `wider`, `narrower` or `other`.
    pub direction: String,
    /// What changed.
    pub words: String,
}

/// The modes that are in force.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Modes {
    /// For everyone.
    pub mode: Mode,
    /// For everyone too, because of the space on the ledger's disk; the stricter of the two holds. Missing
    /// when the disk asks for nothing.
    #[serde(default, skip_serializing_if = "Mode::is_normal")]
    pub disk: Mode,
    /// Of bots that have one of their own; the stricter of the two holds.
    pub bots: BTreeMap<String, Mode>,
}

/// `PUT /v1/mode`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ModeSet {
    /// How much may happen.
    pub mode: Mode,
    /// For this bot only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bot: Option<String>,
}
