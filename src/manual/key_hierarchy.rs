//! Which key comes from which, where each lives, and when it is gone. The bytes are in
//! [`file_format`](crate::manual::file_format).
//!
//! ```text
//!  password ── Argon2id ──┐
//!  key file ── HKDF ──────┼─▶ KEK ─▶ K_w ─▶ vault key ─┬─▶ record, hedge ─▶ a key for each version of each record
//!  recovery key ── HKDF ──┘                            ├─▶ state ──▶ MAC of the state row
//!                                                      ├─▶ audit ──▶ chain of the ledger
//!                                                      ├─▶ anchor ─▶ MAC of the anchor
//!                                                      └─▶ backup ─▶ a key for each chunk of each backup
//! ```
//!
//! | key | born | lives in | gone |
//! |---|---|---|---|
//! | password, key file, recovery key | read from a person or a file | a heap buffer that never grows and is wiped | when the answer is out; the connection is closed |
//! | KEK, K_w | at each unlock | the stack and heap of one call | at its return; the stack is overwritten |
//! | vault key | at `init` and at `password change --rotate-key`, from the kernel | protected pages, [`crate::secret::Arena`] | at lock, or when another takes its place |
//! | record, hedge, backup | at unlock | protected pages | at lock, before the ledger row about it is written |
//! | state, audit, anchor | at unlock | protected pages | right after that row; while the disk does not take it they stay, and sign nothing but the ledger's end |
//! | audit keys of earlier vault keys | at unlock, from sealed records | protected pages | with the audit key; they only verify |
//! | a record's own key | at each seal and open | the stack of one call | at its return; the stack is overwritten |
//! | an exchange's secret | when a person adds it | sealed, in memory as on disk | in the clear for one MAC, then wiped |
//! | the seed of checkpoints | at `init` | sealed, in memory as on disk | in the clear for one Ed25519 signature, then wiped |
//! | a bot's token | when the bot is added | nowhere: only its hash, inside a sealed record | – |
//!
//! # Why it is built like this
//! - **One vault key, many slots.** Changing a password wraps 32 bytes again and touches no record, so it is quick, and
//!   bots go on signing. It does not lock out who has an old copy of the files and the old password: the program says so.
//! - **Another vault key is another vault.** Whoever had the old password and an old copy could know the vault key itself;
//!   `--rotate-key` makes one that nothing old leads to. Everything is sealed again in one transaction, so exactly one of the
//!   two keys opens the files at any time. A slot can be wrapped again only with its secret: all others go, and the answer
//!   says how to have them again. A rotation that is under way when the vault is locked keeps keys in protected pages until
//!   its thread has noticed, at most one page of records later.
//! - **A subkey for each use.** What was made for one can't pass for another, and a use can be looked at alone.
//! - **A key for each version of each record.** No key ever meets a second plaintext, so the number of records under one
//!   key, which is what limits GCM, is one.
//! - **The salt depends on the plaintext.** A machine that repeats its random numbers (a copied virtual machine) repeats a
//!   nonce only for the same plaintext in the same place.
//! - **A commitment before every GCM.** AES-GCM does not say which key made a ciphertext: one can be built that opens
//!   under many. `tests/vectors/` has two of them, and a test that they do not open here.
//! - **The record's identity in the associated data, and again inside.** A row that was moved to another place, version,
//!   table or vault does not open.
//! - **The keys that only authenticate outlive the others by one row.** The lock itself must be on record; whoever reads
//!   memory at that moment could forge a row, and open nothing.
//!
//! # Memory
//! Protected pages are `memfd_secret(2)`: the kernel takes them out of its own map, so neither `/proc/PID/mem` nor a
//! debugger nor a kernel dump reads them. Where the kernel lacks it they are locked, left out of dumps and wiped in
//! children, and `status` says that this is weaker. Everything else that may have held a secret is wiped when it is
//! given back: the allocator of the binary ([`crate::secret::ZeroizingAllocator`]) zeroes every block, and
//! [`crate::secret::scrub_stack`] what ciphers left below the caller. SQLite has an allocator of its own: that is why no
//! plaintext secret is ever bound to a statement.
