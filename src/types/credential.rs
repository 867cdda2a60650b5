//! Nouns of a credential that the vault, the recipes and the wire share.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Whether a credential trades with money.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// Real money.
    #[default]
    Live,
    /// The exchange's simulated trading.
    Demo,
}

impl Environment {
    /// The word as it stands on the wire and in a recipe.
    pub fn as_str(self) -> &'static str {
        match self {
            Environment::Live => "live",
            Environment::Demo => "demo",
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
