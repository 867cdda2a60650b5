//! Modes: an admin's hand on the brake, for everyone or for one bot.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How much may happen, whatever policies allow. A later one allows less.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// What policies allow.
    #[default]
    Normal,
    /// Reads, cancels, closes, and orders that can only reduce a position.
    ReduceOnly,
    /// Reads and cancels.
    CancelOnly,
}

impl Mode {
    /// Every mode, from the widest.
    pub const ALL: [Mode; 3] = [Mode::Normal, Mode::ReduceOnly, Mode::CancelOnly];

    /// Whether nothing is taken away.
    pub fn is_normal(&self) -> bool {
        *self == Mode::Normal
    }

    /// The name as commands and programs write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Normal => "normal",
            Mode::ReduceOnly => "reduce-only",
            Mode::CancelOnly => "cancel-only",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
