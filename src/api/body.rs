//! Request bodies: one JSON object of the expected shape, and nothing of it in the error.

use crate::api::error::Problem;
use crate::wire::Object;
use serde::de::DeserializeOwned;

/// Reads the body of an ask.
///
/// # Errors
/// `ask.malformed`, with what was expected and never with what was sent.
pub fn parse_ask<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    read(bytes).map_err(Problem::ask_malformed)
}

/// Reads the body of an admin's request.
///
/// # Errors
/// `admin.invalid`, in the same way.
pub fn parse_admin<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let invalid = |detail| Problem::new("admin.invalid", detail, "GET /openapi.json describes the body of each route");
    read(bytes).map_err(invalid)
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, &'static str> {
    let text = str::from_utf8(bytes).map_err(|_| "the body is not JSON")?;
    serde_json::from_str::<Object<T>>(text).map(|object| object.0).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => {
            "the body is not an object with exactly the members of this route, each once and of its type"
        }
        _ => "the body is not JSON",
    })
}
