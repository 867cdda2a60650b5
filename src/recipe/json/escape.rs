//! Escapes in texts that a reader has found to be whole.

/// The code unit of four hex digits.
pub fn hex_unit(digits: &[u8]) -> Option<u16> {
    u16::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

/// What stands between the quotes of a text that has been read, so every escape in it is whole.
pub fn unescape(inner: &str) -> String {
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((before, escaped)) = rest.split_once('\\') {
        out.push_str(before);
        let (character, len) = escaped_character(escaped.as_bytes());
        out.push(character);
        rest = &escaped[len..];
    }
    out.push_str(rest);
    out
}

/// The character behind a backslash, and how many bytes its escape takes.
fn escaped_character(escaped: &[u8]) -> (char, usize) {
    let unit = |at: usize| escaped.get(at..at + 4).and_then(hex_unit).unwrap_or(0);
    match escaped.first() {
        Some(b'b') => ('\u{8}', 1),
        Some(b'f') => ('\u{c}', 1),
        Some(b'n') => ('\n', 1),
        Some(b'r') => ('\r', 1),
        Some(b't') => ('\t', 1),
        Some(b'u') => {
            let units = [unit(1), unit(7)];
            let pair = (0xd800..0xdc00).contains(&units[0]);
            let decoded = char::decode_utf16(units).next().and_then(Result::ok);
            (decoded.unwrap_or(char::REPLACEMENT_CHARACTER), if pair { 11 } else { 5 })
        }
        other => (other.map_or(char::REPLACEMENT_CHARACTER, |byte| char::from(*byte)), 1),
    }
}
