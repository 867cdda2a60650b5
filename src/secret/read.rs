//! Reading secrets from a terminal, a pipe or a file: plain `read(2)` into memory that is wiped.
//!
//! Deliberately absent: `BufReader` and `read_line`, which keep a copy in a buffer that nobody wipes and take bytes
//! that belong to the next reader.

use std::io;
use std::os::fd::AsFd;

use zeroize::Zeroizing;

use crate::secret::SecretBytes;

/// Why a secret could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadSecretError {
    /// More bytes than the caller takes.
    #[error("longer than {max_bytes} bytes")]
    TooLong {
        /// The limit, line ending not counted.
        max_bytes: usize,
    },
    /// The descriptor cannot be read.
    #[error("cannot read")]
    Read(#[source] io::Error),
}

/// Reads one line, up to `\n` or the end of the input, and drops one `\n` or `\r\n` from its end and nothing else.
///
/// Reads byte by byte, so that on a pipe or a terminal the next line is still there for the next call. An input that
/// has ended is an empty line.
pub fn read_secret_line(fd: impl AsFd, max_bytes: usize) -> Result<SecretBytes, ReadSecretError> {
    // One byte more than the limit: the `\r` of a line that is exactly as long as allowed. Never grows, so never moves.
    let mut line = Zeroizing::new(Vec::with_capacity(max_bytes + 1));
    let mut byte = [0];
    while read(&fd, &mut byte)? == 1 && byte != *b"\n" {
        if line.len() > max_bytes {
            return Err(ReadSecretError::TooLong { max_bytes });
        }
        line.push(byte[0]);
    }
    if byte == *b"\n" && line.last() == Some(&b'\r') {
        line.pop();
    }
    if line.len() > max_bytes { Err(ReadSecretError::TooLong { max_bytes }) } else { Ok(SecretBytes::from(line)) }
}

/// Reads everything up to the end of the input, unchanged.
pub fn read_secret_to_end(fd: impl AsFd, max_bytes: usize) -> Result<SecretBytes, ReadSecretError> {
    // One byte more than the limit, to tell "exactly" from "too long". Never grows, so never moves.
    let mut bytes = Zeroizing::new(vec![0; max_bytes + 1]);
    let mut filled = 0;
    loop {
        match read(&fd, &mut bytes[filled..])? {
            0 => break,
            count => filled += count,
        }
        if filled > max_bytes {
            return Err(ReadSecretError::TooLong { max_bytes });
        }
    }
    bytes.truncate(filled);
    Ok(SecretBytes::from(bytes))
}

/// `read(2)`, begun again when a signal came first. Zero is the end of the input.
fn read(fd: impl AsFd, into: &mut [u8]) -> Result<usize, ReadSecretError> {
    loop {
        match rustix::io::read(&fd, &mut *into) {
            Err(rustix::io::Errno::INTR) => {}
            read => return read.map_err(|errno| ReadSecretError::Read(errno.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::fs::File;
    use std::io::Write;

    /// A pipe whose writing end has already said everything.
    fn pipe_with(bytes: &[u8]) -> io::PipeReader {
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(bytes).unwrap();
        reader
    }

    fn line_of(bytes: &[u8]) -> Vec<u8> {
        read_secret_line(pipe_with(bytes), 16).unwrap().expose().to_vec()
    }

    #[test]
    fn a_line_loses_one_line_ending_and_nothing_else() {
        let cases: [(&[u8], &[u8]); 11] = [
            (b"secret\n", b"secret"),
            (b"secret\r\n", b"secret"),
            (b"secret", b"secret"),
            (b" secret \n", b" secret "),
            (b"secret\r\r\n", b"secret\r"),
            (b"secret\r", b"secret\r"),
            (b"a\rb\n", b"a\rb"),
            (b"nul\0\n", b"nul\0"),
            (b"\xff\xfe\n", b"\xff\xfe"),
            (b"\n", b""),
            (b"", b""),
        ];
        for (input, expected) in cases {
            assert_eq!(line_of(input), expected, "{input:?}");
        }
    }

    #[test]
    fn a_second_line_is_still_there_for_the_second_read() {
        let pipe = pipe_with(b"old password\nnew password\r\n");
        assert_eq!(read_secret_line(&pipe, 16).unwrap().expose(), b"old password");
        assert_eq!(read_secret_line(&pipe, 16).unwrap().expose(), b"new password");
        assert!(read_secret_line(&pipe, 16).unwrap().is_empty());
    }

    #[test]
    fn a_line_may_be_exactly_as_long_as_allowed() {
        for ending in ["", "\n", "\r\n"] {
            let fits = format!("0123456789abcdef{ending}");
            assert_eq!(line_of(fits.as_bytes()), b"0123456789abcdef", "{ending:?}");
            let too_long = pipe_with(format!("0123456789abcdefg{ending}").as_bytes());
            assert!(matches!(read_secret_line(too_long, 16), Err(ReadSecretError::TooLong { max_bytes: 16 })));
        }
        // Without a newline after it, a carriage return is part of the secret.
        assert!(read_secret_line(pipe_with(b"0123456789abcdef\r"), 16).is_err());
    }

    #[test]
    fn a_line_is_never_moved_while_it_grows() {
        let line = read_secret_line(pipe_with(b"0123456789abcde\n"), 16).unwrap();
        assert_eq!(line.0.capacity(), 17);
    }

    #[test]
    fn reading_to_the_end_changes_nothing() {
        let read = |bytes: &[u8]| read_secret_to_end(pipe_with(bytes), 8).map(|secret| secret.expose().to_vec());
        assert_eq!(read(b"1234567\n").unwrap(), b"1234567\n");
        assert_eq!(read(b"").unwrap(), b"");
        assert!(matches!(read(b"123456789"), Err(ReadSecretError::TooLong { max_bytes: 8 })));
    }

    #[test]
    fn a_descriptor_that_cannot_be_read_is_an_error() {
        let directory = File::open("/").unwrap();
        assert!(matches!(read_secret_line(&directory, 8), Err(ReadSecretError::Read(_))));
        assert!(matches!(read_secret_to_end(&directory, 8), Err(ReadSecretError::Read(_))));
    }
}
