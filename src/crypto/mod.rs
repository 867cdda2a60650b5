//! Sealing, deriving and authenticating: everything that touches a cipher, and nothing that knows what it is for.
//!
//! ```text
//!  password ── Argon2id ──┐                                      one slot per way to unlock
//!  key file ── HKDF ──────┼── KEK ── HKDF ── K_w ‖ N_w ‖ C_w
//!  recovery key ── HKDF ──┘                      │
//!                                                │ unwraps, once C_w has been compared
//!                                                ▼
//!                                          vault key (32 random bytes)
//!                                                │ HKDF(salt vault id, info name ‖ epoch)
//!          ┌─────────┬─────────┬─────────┬───────┴─┬─────────┬─────────┐
//!          ▼         ▼         ▼         ▼         ▼         ▼         ▼
//!       record     hedge     state     audit     anchor    backup     held
//!          │         │         │         │         │         │         │
//!          │         │     state row  ledger    anchor    backups   secrets in
//!          │         │      (HMAC)    (HMAC      file     (HKDF,    memory, between
//!          │         ▼                 chain)   (HMAC)     GCM)     signatures (GCM)
//!          │    S = HMAC(random ‖ identity ‖ plaintext)
//!          └──────┬──┘
//!                 ▼ HKDF(salt S, info identity)
//!            K ‖ N ‖ C: a key, nonce and commitment of its own for each version of each record
//! ```
//!
//! Deliberately absent: a choice of algorithms (a format version means one set, so there is nothing to downgrade), a
//! nonce as an argument (nonces are derived, so none can repeat under one key), and decryption in place (a wrong tag
//! must not leave plaintext behind).

mod aead;
pub mod backup;
pub mod ed25519;
pub mod held;
pub mod kdf;
pub mod keys;
pub mod mac;
pub mod random;
pub mod record;
pub mod recovery;
pub mod self_check;
pub mod signature;
pub mod slot;

#[cfg(test)]
mod known_answers;
#[cfg(test)]
mod whole_process;
