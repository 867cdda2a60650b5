//! What went wrong in other programs, and what is done about it in this one. Each row is a reason why something here is
//! stricter than it seems to need to be; whoever relaxes it should read the row first.
//!
//! # Services on localhost
//! | what happened | what is done here |
//! |---|---|
//! | Ollama (CVE-2024-28224), Transmission (CVE-2018-5702): a web page whose name was made to point at 127.0.0.1 used the whole local interface. A custom header did not stop it, checking the host name did | exactly one `Host`, one of three names with the real port, else 421: [`crate::api::guard`] |
//! | Bitwarden's `bw serve`: first on all interfaces, then open to requests from any web page, for years open to every user of the machine, and without a check of `Host` until 2026 | loopback only or it does not start; browsers get 403; every request has a token; all of it from the first version |
//! | Trend Micro's password manager, 2016: any web site could run commands through its local port, and the first repair checked the caller's domain, which was not enough | there is no browser client at all, so nothing that looks like a browser is let in |
//! | Zoom (CVE-2019-13450), MCP Inspector (CVE-2025-49596), 0.0.0.0 reaching loopback in browsers, 2024 | only loopback addresses are bound, and `Host: 0.0.0.0` is another host |
//! | Clash Verge and relatives, 2025: an empty secret as the default, and requests without a body that browsers send without asking first | no default secret; `application/json` is demanded, which makes a browser ask; it gets no answer to that and no CORS header ever |
//! | geth, 2015 to 2018: unlocking an account let everyone who reached the port spend it: 38 642 ether | unlocking authorises nothing: each request has a token and a policy |
//! | XARA, 2015: another program took the port first and was told the passwords | the Unix socket lies in a directory that only the daemon's user and root can write to, and the kernel says who is on the other end |
//! | containerd (CVE-2020-15257), snapd (CVE-2019-7304): abstract sockets, and a peer that could write its own user id | no abstract sockets; user ids are the integers that `SO_PEERCRED` gives |
//! | polkit (CVE-2019-6133): process ids are used again | nothing here depends on a process id |
//! | sockets and files made in shared directories, with a link already waiting under their name | own directories, links never followed, nothing replaced that is not ours and dead: [`crate::daemon::listen`] |
//! | HTTP libraries take two hosts, bare line feeds, both ways to give a length, a fragment, and wait for ever for the end of a head | one accepted form, checked before any parser, with time-outs of its own: [`crate::api::gate`] |
//!
//! # Stores of secrets
//! | what happened | what is done here |
//! |---|---|
//! | Bitwarden, LastPass, Dashlane, 1Password (27 attacks, ETH Zürich and USI, 2026): fields of one item moved to another, cheaper password hashes dictated by the server, old formats accepted | table, id, version and kind are authenticated in every record; the cost has a floor and a ceiling; there is one format |
//! | Samsung's Keymaster (CVE-2021-25444, CVE-2021-25490): the caller could choose a nonce, and an older version of the blob | a nonce is never an argument: it is derived. A version means one set of algorithms |
//! | partitioning oracles (Len, Grubbs, Ristenpart, 2021): one ciphertext that opens under thousands of passwords, to try them all at once | a commitment is compared before anything is decrypted: [`crate::crypto::slot`] |
//! | LastPass, 2022: stolen backups with addresses in clear and thousands of old vaults with next to no hashing | names, cards and policies are sealed as secrets are; a change of password raises the cost to today's default; a backup is sealed as a whole |
//! | five password managers, 2019: the master password in memory while locked; KeePass (CVE-2023-32784): typed characters left in buffers | secrets are read into buffers that never grow; freed memory is zeroed; a test reads a whole process's memory for keys that should be gone |
//! | Storm-0558: a signing key in a crash dump that left its network; systemd-coredump (CVE-2022-4415, CVE-2025-4598) | not dumpable before the first secret exists, no core file, keys in pages that dumps do not have |
//! | HashiCorp Vault's audit log (CVE-2024-8365, CVE-2024-0831, CVE-2025-4166): values in the clear after a regression and on error paths | a ledger row has no field that takes a value of a request: endpoints come from the recipe, the rest are hashes |
//! | Vault's lock-outs, evaded by another spelling; user names told by the time an answer took (CVE-2025-6004, -6010, -6011) | a token has one spelling; one answer for every failure, after the same comparisons: [`crate::vault::authenticate`] |
//! | secrets in arguments, which every user can list; in the environment, from where Codecov's attackers took them in 2021 | no flag and no variable takes one |
//! | Django (CVE-2013-1443): hashing a password of a megabyte | 1024 bytes at most, one hash at a time, refused before it begins |
//! | PostgreSQL until 2018 ("fsyncgate"): a sync that failed was tried again and succeeded, because the kernel had marked the pages clean | after a failed sync every byte of the log is written again before it is read |
//! | systemd's sealed journal (CVE-2023-31437 to 31439): cut short without anyone noticing | the head and number of the ledger's last row are anchored outside the database |
//! | random numbers that repeat when a virtual machine is copied | a record's salt depends on its plaintext too; bots' signatures need no random numbers |
//! | RustCrypto's aes-gcm (RUSTSEC-2023-0096): plaintext left in the caller's buffer after a wrong tag | decryption never works in place |
//! | 3Commas, 2022: about a hundred thousand keys, 22 million dollars, most of it through keys that could only trade | "may not withdraw" is not taken for safety: grants are finer than the exchange's permissions, which lets trade keys move funds and make new keys; and every order is judged by instrument, price and size before it is signed, because the money left through trades in illiquid pairs |
//!
//! # What we saw ourselves
//! | what was seen | what is done here |
//! |---|---|
//! | a line reader, a JSON parser that meets an escape, and a failed conversion each leave a copy of a secret on the heap | the allocator of the binary zeroes what is given back |
//! | ciphers leave round keys on the stack even when they wipe themselves | the stack below is overwritten after each use, from outside: [`crate::secret::scrub_stack`] |
//! | SQLite keeps a bound text in its own memory, and in the file after the row was deleted | no plaintext secret is bound, ever; deleted pages are overwritten; the log is folded in and cut when a slot changes |
//! | the text that OKX signs has no marks between its parts: one signature, four requests; with a time of the caller's choosing it covers a withdrawal | time from the daemon, method from a list, paths without braces, a body that is one JSON value: [`crate::recipe::binding`] derives which schemes that is enough for |
//! | a derived reader of JSON takes an array for a struct, and a generic one the last of two equal names | requests must be objects, and bodies are read by a parser of our own that refuses what two could read differently |
//! | readiness asked the ledger's writer how it stood, on the thread that serves every connection: a disk that hangs would have stopped them all | what the event loop asks for is a copy |
//! | a lock whose row the disk would not take dropped the row, and a revocation that was owed with it: after the next unlock the bot was back | a vault that is locked keeps its ledger, and nothing else, until it owes nothing |
//! | every commit after a failed sync stood behind frames of the log that were perhaps nowhere | the log is written again and synced before it is believed |
//! | the key that a password became stood in memory after the lock: on the stack of a pool's thread that had ended, whose stack the C library keeps for the next thread. Reading the code did not show it, searching a living process for pieces of every key did | the thread that hashes overwrites its own stack before it ends, and the search is a test: [`crate::crypto::kdf`] |
//! | HMAC left the anchor's key in memory, under a mask or as a state of the hash, also after a lock: the search knew keys only as they are | a keyed MAC stays in one place on the heap and overwrites the stack when it is dropped ([`crate::crypto::mac::Keyed`]), and the search looks for every key under both masks and for the states that follow from them, which are as good as the key |
//! | a service that ends when its key can't be read is started again, fails again, and is down when a person comes to unlock it | a daemon without a usable key runs and is locked: [`crate::daemon::unattended`] |
//! | a watchdog that restarts a daemon whose disk hangs ends the one process that can still lock, revoke and say why | only a turn that hangs on something else than the disk gets no ping: [`crate::daemon::notify`] |
//! | a limit of locked memory that the service manager may not raise is clamped without a word | what was asked for is read back, item by item: [`crate::daemon::harden`] |
