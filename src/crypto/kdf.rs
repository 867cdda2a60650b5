//! Key derivation: HKDF-SHA-256 from keys, Argon2id from passwords.

use crate::secret::scrub_stack;
use argon2::{Algorithm, Argon2, AssociatedData, ParamsBuilder, Version};
use hkdf::Hkdf;
use rayon::{ThreadPool, ThreadPoolBuilder};
use sha2::Sha256;
use std::num::NonZeroUsize;
use zeroize::Zeroizing;

/// Least memory for a password hash in KiB: 64 MiB, the second recommended choice of RFC 9106, section 4.
pub const MIN_MEMORY_KIB: u32 = 64 * 1024;
/// Most memory for a password hash in KiB: 1 GiB, so that a forged header cannot exhaust the machine.
pub const MAX_MEMORY_KIB: u32 = 1024 * 1024;
/// Fewest passes over the memory.
pub const MIN_PASSES: u32 = 3;
/// Most passes over the memory.
pub const MAX_PASSES: u32 = 10;
/// Fewest lanes.
pub const MIN_LANES: u8 = 1;
/// Most lanes.
pub const MAX_LANES: u8 = 8;

/// The cost of one Argon2id hash (RFC 9106, version 0x13). A value of this type is within the bounds above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Params {
    /// Memory in KiB.
    memory_kib: u32,
    /// Passes over the memory.
    passes: u32,
    /// Lanes that can be filled side by side.
    lanes: u8,
}

/// Why no key could be derived from a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KdfError {
    /// The cost is outside the bounds; nothing was hashed and no memory was taken.
    #[error("password hash cost out of bounds")]
    OutOfBounds,
    /// The machine does not have the memory, or the threads, that the hash needs.
    #[error("not enough memory for the password hash")]
    OutOfMemory,
}

/// 256 MiB, 3 passes, 4 lanes: about 0.3 s on two cores, 0.7 s on one.
impl Default for Argon2Params {
    fn default() -> Argon2Params {
        Argon2Params { memory_kib: 256 * 1024, passes: 3, lanes: 4 }
    }
}

impl Argon2Params {
    /// Takes a cost from a slot header or a person, refusing what is out of bounds before any memory is taken.
    pub fn parse(memory_kib: u32, passes: u32, lanes: u8) -> Result<Argon2Params, KdfError> {
        let within = (MIN_MEMORY_KIB..=MAX_MEMORY_KIB).contains(&memory_kib)
            && (MIN_PASSES..=MAX_PASSES).contains(&passes)
            && (MIN_LANES..=MAX_LANES).contains(&lanes);
        if within { Ok(Argon2Params { memory_kib, passes, lanes }) } else { Err(KdfError::OutOfBounds) }
    }

    /// Memory in KiB.
    pub fn memory_kib(&self) -> u32 {
        self.memory_kib
    }

    /// Passes over the memory.
    pub fn passes(&self) -> u32 {
        self.passes
    }

    /// Lanes that can be filled side by side.
    pub fn lanes(&self) -> u8 {
        self.lanes
    }
}

/// HKDF-SHA-256 (RFC 5869), extract and expand, for up to 8 160 bytes.
pub fn hkdf_sha256<const N: usize>(key: &[u8], salt: &[u8], info: &[u8]) -> Zeroizing<[u8; N]> {
    const { assert!(N <= 255 * 32, "HKDF-SHA-256 gives at most 255 blocks") };
    let mut derived = Zeroizing::new([0; N]);
    Hkdf::<Sha256>::new(Some(salt), key).expand(info, derived.as_mut()).expect("the length was checked");
    derived
}

/// The key encryption key of a password: Argon2id, 64 bytes.
///
/// `associated_data` is the hash of everything that the key must depend on. The memory is given back unwiped and relies
/// on the binary's [`crate::secret::ZeroizingAllocator`].
pub fn derive_kek(
    password: &[u8],
    salt: &[u8; 32],
    associated_data: &[u8; 32],
    params: &Argon2Params,
) -> Result<Zeroizing<[u8; 64]>, KdfError> {
    let argon2 = context(associated_data, params).map_err(|_| KdfError::OutOfBounds)?;
    let mut kek = Zeroizing::new([0; 64]);
    // Allocates fallibly. No other error is left: lengths are fixed and the cost is within bounds.
    let hash = || {
        let hashed = hash(&argon2, password, salt, &mut kek);
        // The thread ends, but the C library keeps its stack for the next one, as it is.
        scrub_stack();
        hashed
    };
    threads(params)?.install(hash).map_err(|_| KdfError::OutOfMemory)?;
    Ok(kek)
}

/// Not inlined, so that the frame it worked in has ended when the stack is scrubbed.
#[inline(never)]
fn hash(argon2: &Argon2<'_>, password: &[u8], salt: &[u8; 32], kek: &mut [u8; 64]) -> argon2::Result<()> {
    argon2.hash_password_into(password, salt, kek)
}

/// Threads for one hash. The pool that rayon keeps for everyone would panic where threads can't be had, and again at every
/// later hash; and its threads would go on living, with what the hash left on their stacks.
fn threads(params: &Argon2Params) -> Result<ThreadPool, KdfError> {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let pool = ThreadPoolBuilder::new().num_threads(cores.min(params.lanes.into())).build();
    pool.map_err(|_| KdfError::OutOfMemory)
}

fn context(associated_data: &[u8; 32], params: &Argon2Params) -> argon2::Result<Argon2<'static>> {
    let mut builder = ParamsBuilder::new();
    builder.m_cost(params.memory_kib).t_cost(params.passes).p_cost(params.lanes.into());
    builder.data(AssociatedData::new(associated_data)?);
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, builder.build()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::crypto::known_answers::{KnownAnswers, hex};
    use crate::crypto::mac;

    #[test]
    fn hkdf_is_that_of_rfc_5869() {
        // Appendix A.1.
        let derived = hkdf_sha256::<42>(&[0x0b; 22], &hex("000102030405060708090a0b0c"), &hex("f0f1f2f3f4f5f6f7f8f9"));
        let expected = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865";
        assert_eq!(derived[..], hex(expected));
        // Appendix A.3: no salt, no info.
        let derived = hkdf_sha256::<42>(&[0x0b; 22], b"", b"");
        let expected = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8";
        assert_eq!(derived[..], hex(expected));
    }

    #[test]
    fn the_key_of_a_password_is_the_known_one() {
        let known = KnownAnswers::load();
        let slot = known.slot("password");
        let header = hex(&slot.header);
        let salt = header[37..69].try_into().unwrap();
        let params = Argon2Params::parse(65_536, 3, 4).unwrap();
        let kek = derive_kek(&hex(&slot.secret), &salt, &mac::sha256(&[&header]), &params).unwrap();
        assert_eq!(kek[..], hex(&slot.kek));
    }

    #[test]
    fn a_cost_is_within_bounds_or_refused() {
        for (memory_kib, passes, lanes) in [(65_536, 3, 1), (1_048_576, 10, 8), (262_144, 3, 4)] {
            assert!(Argon2Params::parse(memory_kib, passes, lanes).is_ok());
        }
        let outside = [
            (65_535, 3, 4),
            (1_048_577, 3, 4),
            (u32::MAX, 3, 4),
            (65_536, 2, 4),
            (65_536, 11, 4),
            (65_536, u32::MAX, 4),
            (65_536, 3, 0),
            (65_536, 3, 9),
            (65_536, 3, 255),
            (0, 0, 0),
        ];
        for (memory_kib, passes, lanes) in outside {
            assert_eq!(Argon2Params::parse(memory_kib, passes, lanes), Err(KdfError::OutOfBounds));
        }
    }

    #[test]
    fn the_default_cost_is_within_bounds() {
        let default = Argon2Params::default();
        assert_eq!(Argon2Params::parse(default.memory_kib(), default.passes(), default.lanes()), Ok(default));
    }
}
