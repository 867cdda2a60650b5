//! An answer as JSON, written into one buffer.

use crate::api::error::Problem;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Most answers are not longer than this many bytes.
const USUAL_BYTES: usize = 1000;

/// A value that goes out as JSON. Unlike axum's it reserves room for a usual answer at once: a buffer that grows is
/// copied and wiped again and again.
pub struct Written<T>(pub T);

impl<T: Serialize> IntoResponse for Written<T> {
    fn into_response(self) -> Response {
        let mut bytes = Vec::with_capacity(USUAL_BYTES);
        match serde_json::to_writer(&mut bytes, &self.0) {
            Ok(()) => ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], bytes).into_response(),
            Err(_) => Problem::internal().into_response(),
        }
    }
}
