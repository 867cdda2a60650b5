//! What an admin's route takes from its path.

use crate::api::error::Problem;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

/// The parts of a path that stand for something, percent-decoded. Refused as `admin.invalid`, with nothing of what was sent,
/// where they are not UTF-8 or not of the route's type.
pub struct InPath<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for InPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<InPath<T>, Problem> {
        let told = Path::from_request_parts(parts, state).await;
        told.map(|Path(told)| InPath(told)).map_err(|_| {
            let detail = "the path names nothing that this route could be about";
            Problem::new("admin.invalid", detail, "a slot has a number; every other name is UTF-8, percent-encoded")
        })
    }
}
