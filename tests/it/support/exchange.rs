//! What the exchange would check, with another implementation of the MAC than the program's own.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;
use serde_json::Value;

/// The base64 of an HMAC-SHA-256, by ring.
pub fn hmac_base64(secret: &str, message: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    BASE64_STANDARD.encode(hmac::sign(&key, message.as_bytes()))
}

/// Checks a signed OKX request: its signature covers exactly this, under this secret.
#[track_caller]
pub fn check_signature(answer: &Value, secret: &str, method: &str, path: &str, body: &str) {
    let headers = &answer["headers"];
    let time = headers["OK-ACCESS-TIMESTAMP"].as_str().expect("a timestamp");
    let expected = hmac_base64(secret, &format!("{time}{method}{path}{body}"));
    assert_eq!(headers["OK-ACCESS-SIGN"].as_str(), Some(expected.as_str()));
}
