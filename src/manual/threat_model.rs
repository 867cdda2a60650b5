//! Who is kept out, what is promised, and what is not.
//!
//! # What is worth stealing
//! The secret part of an exchange's API key; the vault key and the password that lead to it; the right to have something
//! signed, which is worth as much; the table of policies and tokens that limits that right; the record of what was
//! signed; and being able to sign at all, when a position has to be closed.
//!
//! # Who
//! | someone who | gets | does not get |
//! |---|---|---|
//! | reads the disk or a backup | how many records there are, their sizes in steps of 256 bytes, times and events of the ledger with names of bots, credentials and endpoints | secrets, tokens, policies, cards. Guessing the password costs Argon2id per try; a weak password stays weak |
//! | writes to the files, without a key | a vault that stays locked and names what was changed | a signature: rows that were edited, swapped, dropped, added or taken from an older copy do not open |
//! | rolls the database back | a refusal, by the anchor in another directory | – |
//! | rolls back database and anchor together | an older vault. Keep the anchor on another disk and out of the same snapshot | – |
//! | is another user of the machine | an HTTP port that asks for a token, sockets with modes and user ids | memory, files, a way to crowd out the admin socket; the port, where systemd holds it |
//! | has a web page open in a local browser | 403 or 421 before a body is read | any answer that a page could read |
//! | holds a bot's token | what that bot's policy allows, and the API key and passphrase, which are plain headers | the secret, other credentials, a time of its own choosing, anything after a revocation |
//! | holds the password | with access to the admin socket: everything | – |
//! | takes the daemon over | what it can do: signatures, and with work its keys while it is unlocked | other files, a program to run, a TCP connection, its right to be dumped |
//! | has the machine and its key for the unattended unlock | the vault | – |
//! | is the daemon's own user | what a debugger is refused: the process is not dumpable. A hindrance, no boundary | – |
//! | is root, or the kernel | everything, while the vault is unlocked | secrets, while it is locked |
//!
//! # What is promised
//! 1. No secret in arguments, environment, logs, ledger, errors, panics, core files, swap, database or backups.
//! 2. After a lock, and after a failed unlock, no exchange secret, vault key or password in the process's memory.
//! 3. While unlocked, keys are in protected pages and exchange secrets stay sealed but inside one signature.
//! 4. No signature without a durable row. If the row can't be written there is a typed refusal, and it heals by itself.
//! 5. Files that were changed are noticed before the first signature: the vault stays locked, says which object, and
//!    changes nothing. The bound: ledger rows that were written after the last anchor (at most 256, or one second) can be
//!    cut off unseen. In a ledger of more than 16 384 rows those before the last checkpoint that no limit needs are verified
//!    while bots sign, seconds after the unlock; one that was changed locks the vault again.
//! 6. What is judged is what is signed, byte for byte; what two parsers could read differently is refused.
//! 7. What is not allowed is denied. There are no wildcards and no prefixes in endpoints.
//!    Where there are rules for orders, each order is judged by the bytes that are signed, and what a rule must count and can't
//!    is denied. Limits over time count before the signature, and a crash or a restart forgets none of it.
//! 8. After a revocation or a lock has returned, no signature has a later row than its own.
//! 9. A crash at any moment leaves a vault that opens, with everything that was acknowledged and nothing by halves.
//! 10. A wrong password and a changed slot have one answer. One hash at a time; the back-off survives a restart.
//! 11. The daemon owns the clock. A jump of more than five seconds stops signing.
//! 12. What of its own hardening does not hold on a machine is said, item by item, or the daemon refuses to start.
//!
//! # What is not
//! - Anything against root while the vault is unlocked, or against the same user with enough effort.
//! - Anything that a bot's policy allows: a stolen token is worth what the policy says. A signature can be sent more than
//!   once as long as the exchange takes it.
//! - That a bot never sees the API key or passphrase: exchanges want them as headers.
//! - What happens on a WebSocket after its login: the grant `session` means all that the key can do there.
//! - Anything against root, or against whoever boots the machine, where it unlocks itself: the key is there for it to find.
//! - Rolling back database and anchor together; deleting both; that a vault exists at all is no secret.
