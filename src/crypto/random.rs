//! The kernel's random numbers: `getrandom(2)`, which blocks until the pool is seeded and needs no descriptor.
//!
//! Deliberately absent: a generator in this process. Its state would be one more secret, and a copied virtual machine
//! would repeat it.

use zeroize::Zeroize;

/// The kernel gave no random numbers.
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
    getrandom::fill(bytes).map_err(|_| {
        bytes.zeroize();
        RandomError
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_values_differ() {
        assert_ne!(generate_random::<32>().unwrap(), generate_random::<32>().unwrap());
    }
}
