//! Answers as JSON, written into one buffer.

use crate::api::error::Problem;
use crate::types::bytes::all;
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

/// Writes a text. In most there is nothing to escape, which is seen at a glance.
pub fn push_text(out: &mut Vec<u8>, text: &str) -> io::Result<()> {
    if !all(text.as_bytes(), stands_as_it_is) {
        return Ok(serde_json::to_writer(out, text)?);
    }
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
    Ok(())
}

/// Whether a byte of a text means itself between quotation marks.
pub fn stands_as_it_is(byte: u8) -> bool {
    byte >= b' ' && byte != b'"' && byte != b'\\'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_escaped_where_it_must_be() {
        for character in ('\0'..='\u{ff}').chain(['\u{2028}', '\u{1f511}']) {
            for text in [format!("{character}"), format!("a longer text with {character} in it")] {
                let mut bytes = Vec::new();
                push_text(&mut bytes, &text).unwrap();
                assert_eq!(bytes, serde_json::to_vec(&text).unwrap(), "{character:?}");
            }
        }
    }
}
