//! `lock`: has the daemon drop the vault key.

use crate::cli::context::Context;
use crate::cli::report::Failure;
use serde_json::{Value, json};

/// Locks. Locking a locked vault is no error.
pub fn run(context: &Context) -> Result<(), Failure> {
    context.admin().post::<Value>("/v1/lock", &json!({}))?;
    Ok(())
}
