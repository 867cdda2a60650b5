//! JSON (RFC 8259) that is written for every signature, straight into one buffer: the same as `serde_json` writes, in fewer
//! instructions.

use crate::types::bytes::all;
use data_encoding::HEXLOWER;
use std::io::Write;

/// Whether a byte of a text means itself between quotation marks.
pub fn stands_as_it_is(byte: u8) -> bool {
    byte >= b' ' && byte != b'"' && byte != b'\\'
}

/// Writes a text. In most there is nothing to escape, which is seen at a glance.
pub fn push_text(out: &mut Vec<u8>, text: &str) {
    if !all(text.as_bytes(), stands_as_it_is) {
        return serde_json::to_writer(out, text).expect("memory takes any text");
    }
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Writes bytes in lower-case hexadecimal.
pub fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    let from = out.len();
    out.resize(from + HEXLOWER.encode_len(bytes.len()), 0);
    HEXLOWER.encode_mut(bytes, &mut out[from..]);
}

/// The members of an object that is being written, each behind a comma.
#[derive(Debug)]
pub struct Members<'a>(pub &'a mut Vec<u8>);

impl Members<'_> {
    /// The name of a member, which is plain, and whatever is written behind it.
    pub fn name(&mut self, name: &str) -> &mut Vec<u8> {
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
        self.0
    }

    /// A text.
    pub fn text(&mut self, name: &str, value: &str) {
        push_text(self.name(name), value);
    }

    /// A text, or nothing.
    pub fn text_if(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// Bytes in hexadecimal, or nothing.
    pub fn hex_if(&mut self, name: &str, value: Option<&[u8]>) {
        if let Some(value) = value {
            let out = self.name(name);
            out.push(b'"');
            push_hex(out, value);
            out.push(b'"');
        }
    }

    /// A number.
    pub fn number(&mut self, name: &str, value: u64) {
        let _ = write!(self.name(name), "{value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_escaped_where_it_must_be() {
        for character in ('\0'..='\u{ff}').chain(['\u{2028}', '\u{1f511}']) {
            let texts =
                ["", "\"\\", "\n\""].map(|others| format!("{others}a longer text with {character} in it{others}"));
            for text in texts.into_iter().chain([character.to_string()]) {
                let mut bytes = Vec::new();
                push_text(&mut bytes, &text);
                assert_eq!(bytes, serde_json::to_vec(&text).unwrap(), "{character:?}");
            }
        }
    }

    #[test]
    fn members_read_back() {
        let mut bytes = b"{\"a\":1".to_vec();
        let mut members = Members(&mut bytes);
        members.text("b", "\"");
        members.text_if("c", None);
        members.text_if("d", Some("e"));
        members.hex_if("f", None);
        members.hex_if("g", Some(&[0, 0xab]));
        members.number("h", u64::MAX);
        bytes.push(b'}');
        let read: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(read, serde_json::json!({ "a": 1, "b": "\"", "d": "e", "g": "00ab", "h": u64::MAX }));
    }
}
