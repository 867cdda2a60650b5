//! Lower-case base32 without padding (RFC 4648, section 6), in which ids and tokens are written. In constant time: a token
//! is a secret.

use base32ct::{Base32Unpadded, Encoding};
use zeroize::Zeroizing;

/// The longest text there is: that of 32 bytes.
pub const LONGEST: usize = text_len(32);

/// How many characters so many bytes take.
pub const fn text_len(bytes: usize) -> usize {
    (bytes * 8).div_ceil(5)
}

/// Writes bytes, at most 32, behind what is in the text.
pub fn push(text: &mut String, bytes: &[u8]) {
    let mut written = Zeroizing::new([0; LONGEST]);
    text.push_str(encode(bytes, &mut written));
}

/// Reads so many bytes, at most 32; `None` for anything that they are not written as.
pub fn decode<const BYTES: usize>(text: &[u8]) -> Option<[u8; BYTES]> {
    if text.len() != text_len(BYTES) {
        return None;
    }
    let (mut bytes, mut written) = ([0; BYTES], Zeroizing::new([0; LONGEST]));
    Base32Unpadded::decode(text, &mut bytes).ok()?;
    // Its last character has room for bits behind the last byte.
    let last_group = encode(&bytes[BYTES - BYTES % 5..], &mut written);
    text.ends_with(last_group.as_bytes()).then_some(bytes)
}

/// Writes bytes where there is room for as many as 32.
pub fn encode<'a>(bytes: &[u8], text: &'a mut [u8; LONGEST]) -> &'a str {
    Base32Unpadded::encode(bytes, text).expect("ids and secrets have no more than 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(bytes: &[u8]) -> String {
        data_encoding::BASE32_NOPAD.encode(bytes).to_ascii_lowercase()
    }

    #[test]
    fn what_is_written_reads_back() {
        assert_eq!(decode(b"mzxw6ytboi"), Some(*b"foobar"), "RFC 4648, section 10");
        assert_eq!(decode(b""), Some([]));
        assert_eq!(decode(written(&[0xa5; 1]).as_bytes()), Some([0xa5; 1]));
        assert_eq!(decode(written(&[0xff; 4]).as_bytes()), Some([0xff; 4]));
        assert_eq!(decode(written(&[0x5a; 16]).as_bytes()), Some([0x5a; 16]));
        assert_eq!(decode(written(&[0x7e; 32]).as_bytes()), Some([0x7e; 32]));
    }

    #[test]
    fn no_other_text_reads_as_the_same_bytes() {
        let bytes = [0xfc, 0x80, 0x01, 0x7f];
        let text = written(&bytes);
        for at in 0..text.len() {
            for byte in 0..=u8::MAX {
                let mut other = text.clone().into_bytes();
                other[at] = byte;
                let same = other == text.as_bytes();
                assert_eq!(decode(&other) == Some(bytes), same, "{byte:#x} at {at}");
            }
        }
        assert_eq!(decode::<4>(&text.as_bytes()[1..]), None);
        assert_eq!(decode::<4>(format!("{text}a").as_bytes()), None);
        assert_eq!(decode::<4>(format!("{text}=").as_bytes()), None);
        assert_eq!(decode::<1>(b"ab"), None, "bits behind the last byte");
    }
}
