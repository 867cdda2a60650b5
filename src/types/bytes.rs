//! Looking through bytes for the few that need care: many at once, as a processor can, and not one by one.

/// How many bytes are compared together.
const TOGETHER: usize = 16;

/// How many bytes there are before the first that is not plain.
pub fn plain_run(bytes: &[u8], is_plain: impl Fn(u8) -> bool) -> usize {
    let (chunks, _) = bytes.as_chunks::<TOGETHER>();
    let whole = TOGETHER * chunks.iter().take_while(|chunk| all(*chunk, &is_plain)).count();
    whole + bytes[whole..].iter().take_while(|byte| is_plain(**byte)).count()
}

/// Whether every byte is good. Goes on after a bad one, or it could not look at many at once.
pub fn all(bytes: &[u8], is_good: impl Fn(u8) -> bool) -> bool {
    bytes.iter().fold(true, |so_far, byte| so_far & is_good(*byte))
}

/// Some of the 256 bytes, to be looked up.
#[derive(Debug)]
pub struct ByteSet([bool; 256]);

impl ByteSet {
    /// These.
    pub const fn of(bytes: &[u8]) -> ByteSet {
        let mut set = [false; 256];
        let mut rest = bytes;
        while let [first, others @ ..] = rest {
            set[*first as usize] = true;
            rest = others;
        }
        ByteSet(set)
    }

    /// The same and all from one to another.
    pub const fn with(mut self, first: u8, last: u8) -> ByteSet {
        let mut at = first as usize;
        while at <= last as usize {
            self.0[at] = true;
            at += 1;
        }
        self
    }

    /// Whether this one is among them.
    pub fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte)]
    }
}

/// Whether a text is printable ASCII: most are, and such a one is known at a glance.
pub fn is_printable(text: &str) -> bool {
    all(text.as_bytes(), |byte| matches!(byte, b' '..=b'~'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_it_was_made_of() {
        let set = ByteSet::of(b"-\xff").with(b'a', b'c').with(0, 0);
        let has: Vec<u8> = (0..=u8::MAX).filter(|byte| set.has(*byte)).collect();
        assert_eq!(has, b"\0-abc\xff");
    }

    #[test]
    fn a_run_ends_at_the_first_byte_that_is_not_plain() {
        for length in 0..50 {
            let mut bytes = vec![b'a'; length];
            assert_eq!(plain_run(&bytes, |byte| byte == b'a'), length);
            for at in (0..length).rev() {
                bytes[at] = b'b';
                assert_eq!(plain_run(&bytes, |byte| byte == b'a'), at, "of {length}");
            }
        }
    }
}
