//! Answers as JSON, written into one buffer.

use crate::api::error::Problem;
use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use std::io;

/// Most answers are not longer than this many bytes.
const USUAL_BYTES: usize = 1000;

/// The answer that is written here. Room for a usual one is reserved at once: a buffer that grows is copied and wiped
/// again and again.
pub fn written(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> Response {
    let mut bytes = Vec::with_capacity(USUAL_BYTES);
    match write(&mut bytes) {
        Ok(()) => {
            let mut response = Response::new(Body::from(bytes));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err(_) => Problem::internal().into_response(),
    }
}
