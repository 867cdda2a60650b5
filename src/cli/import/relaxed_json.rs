//! JSON as freqtrade reads it: with `//` and `/* */` comments and trailing commas.

use zeroize::Zeroizing;

/// The same text with comments and trailing commas blanked out, byte for byte in place, so that lines stay where they
/// were. Whether it is JSON then is the parser's business.
pub fn without_extras(text: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut plain = Zeroizing::new(text.to_vec());
    blank_comments(&mut plain);
    blank_trailing_commas(&mut plain);
    plain
}

fn blank_comments(text: &mut [u8]) {
    let mut at = 0;
    while at < text.len() {
        let end = match text[at..] {
            [b'"', ..] => {
                at = string_end(text, at);
                continue;
            }
            [b'/', b'/', ..] => find(text, at, b"\n").unwrap_or(text.len()),
            [b'/', b'*', ..] => find(text, at + 2, b"*/").map_or(text.len(), |end| end + 2),
            _ => {
                at += 1;
                continue;
            }
        };
        text[at..end].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        at = end;
    }
}

fn blank_trailing_commas(text: &mut [u8]) {
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'"' => {
                at = string_end(text, at);
                continue;
            }
            b',' => {
                let next = text[at + 1..].iter().find(|byte| !byte.is_ascii_whitespace());
                if matches!(next, Some(b'}' | b']')) {
                    text[at] = b' ';
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// Just after the string that starts here.
fn string_end(text: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < text.len() && text[at] != b'"' {
        at += if text[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(text.len())
}

fn find(text: &[u8], from: usize, wanted: &[u8]) -> Option<usize> {
    let found = text.get(from..)?.windows(wanted.len()).position(|window| window == wanted)?;
    Some(from + found)
}
