//! What an admin's route takes from its path.

use crate::api::error::Problem;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

/// The parts of a path that stand for something, percent-decoded. Refused as `admin.invalid`, with nothing of what was sent,
/// where they are not UTF-8 or not of the route's type.
pub struct InPath<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for InPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<InPath<T>, Problem> {
        let told = Path::from_request_parts(parts, state).await;
        told.map(|Path(told)| InPath(told)).map_err(|refused| match refused {
            // Any other status is about the route, not about what was sent.
            PathRejection::FailedToDeserializePathParams(error) if error.status() == StatusCode::BAD_REQUEST => {
                let detail = "a part of the path is not the number of a slot, or not UTF-8";
                Problem::new(
                    "admin.invalid",
                    detail,
                    "write names in UTF-8, percent-encoded; the numbers are in: signvault slot list",
                )
            }
            _ => Problem::internal(),
        })
    }
}
