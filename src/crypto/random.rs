//! The kernel's random numbers: `getrandom(2)`, which blocks until the pool is seeded and needs no descriptor.
//!
//! Deliberately absent: a generator in this process. Its state would be one more secret, and a copied virtual machine
//! would repeat it.

use zeroize::Zeroize;

/// What is drawn beside every value, to see whether the source repeats itself: two healthy draws are the same once in
/// 2^128.
const WITNESS_BYTES: usize = 16;

/// The kernel gave no random numbers, or the same ones again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the kernel gave no random numbers")]
pub struct RandomError;

/// Random bytes for salts, ids and other values that are not secret. Secrets are filled in place: [`fill_random`].
pub fn generate_random<const N: usize>() -> Result<[u8; N], RandomError> {
    let mut bytes = [0; N];
    fill_random(&mut bytes)?;
    Ok(bytes)
}

/// Fills a buffer with random bytes. On an error the buffer is wiped, so that half a key is never taken for one.
pub fn fill_random(bytes: &mut [u8]) -> Result<(), RandomError> {
    fill_from(|bytes| getrandom::fill(bytes).is_ok(), bytes)
}

/// Draws from a source that must not be stuck: the repetition count test of NIST SP 800-90B (section 4.4.1) over two
/// draws. A stuck source would give every record the same id, and every bot a token that others can make.
fn fill_from(mut source: impl FnMut(&mut [u8]) -> bool, bytes: &mut [u8]) -> Result<(), RandomError> {
    let mut witnesses = [[0; WITNESS_BYTES]; 2];
    let is_drawn = source(&mut witnesses[0]) && source(bytes) && source(&mut witnesses[1]);
    if is_drawn && witnesses[0] != witnesses[1] {
        return Ok(());
    }
    bytes.zeroize();
    Err(RandomError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_values_differ() {
        assert_ne!(generate_random::<32>().unwrap(), generate_random::<32>().unwrap());
    }

    #[test]
    fn t75_a_source_that_fails_or_repeats_itself_gives_nothing() {
        type Source = fn(&mut [u8]) -> bool;
        let stuck: Source = |bytes| {
            bytes.fill(0x5A);
            true
        };
        let (silent, failing): (Source, Source) = (|_| true, |_| false);
        for source in [stuck, silent, failing] {
            let mut bytes = [0x77; 32];
            assert_eq!(fill_from(source, &mut bytes), Err(RandomError));
            assert_eq!(bytes, [0; 32]);
        }
    }

    #[test]
    fn t75_a_source_that_fails_at_any_draw_gives_nothing() {
        for last in 0..3 {
            let mut draws = 0;
            let source = |bytes: &mut [u8]| {
                draws += 1;
                bytes.fill(draws);
                draws <= last
            };
            let mut bytes = [0x77; 8];
            assert_eq!((fill_from(source, &mut bytes), bytes), (Err(RandomError), [0; 8]), "{last}");
        }
    }
}
