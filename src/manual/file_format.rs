//! Every byte on disk, version 1: what another program needs to open a vault. `tests/reference/open_vault.py` is one,
//! in Python and without any code of this crate; a test lets it open what the binary made.
//!
//! # Notation
//! `enc(x1, …, xn)` is each item as its length in four bytes, big-endian, then its bytes, one after the other; no two
//! lists of items give the same bytes. ‖ joins. `u16`, `u32`, `u64` are big-endian, `i64` too (two's complement).
//! Hashes are SHA-256 (FIPS 180-4), MACs HMAC-SHA-256 (RFC 2104), `HKDF(key, salt, info)` is HKDF-SHA-256 (RFC 5869)
//! with extract and expand, AES-GCM is AES-256-GCM with a tag of 16 bytes at the end of the ciphertext (SP 800-38D).
//! Texts in derivations are ASCII without a final zero.
//!
//! An id is 16 random bytes; its text form is 26 characters of lower-case base32 without padding (RFC 4648), whose two
//! unused bits are zero. Times are milliseconds since 1970-01-01T00:00:00Z without leap seconds unless something else is
//! said. JSON is UTF-8 without white space between tokens, members in the order given here; a reader must not depend on
//! either, except that ledger rows are hashed as they are stored.
//!
//! There is one set of algorithms and no field that chooses another. A version that is not 1 is refused.
//!
//! # Files
//! | file | content |
//! |---|---|
//! | state directory `vault.db`, with `vault.db-wal` while open or after a crash | the database |
//! | state directory `attempts` | failed unlocks |
//! | state directory `reserve` | 16 MiB that say nothing: space for the last rows on a full disk. May be missing, and may be removed |
//! | state directory `daemon.lock` | empty; a daemon holds an exclusive `flock` on it |
//! | anchor directory `anchor` | what the vault remembers of itself outside its database |
//!
//! Both directories are 0700 and all files 0600. `vault.db.new`, `vault.db.next`, `attempts.next`, `anchor.next`,
//! `backup.tmp` and the directory `restore.tmp` are unfinished work that a crash left behind; the next attempt removes them.
//! None is ever read as a vault.
//!
//! # The database
//! SQLite 3, `application_id` 0x53474e56 (`SGNV`), `user_version` 1, journal in WAL mode. The schema is exactly that of
//! `migrations/0001_vault.sql`; anything more or less is refused. So are a file that says of itself that it can't be
//! written, and a rollback journal (`vault.db-journal`) beside it, because SQLite would play that back unasked.
//!
//! A database of a lower `user_version` has exactly the schema of the migrations up to that number, and is verified as it
//! stands before the others run: in one transaction with `user_version`, a ledger row and the state row with the new schema.
//! Before that a copy of it is made, `vault.db.v1` for version 1, which stays until a person removes it. A higher version is
//! refused.
//!
//! | table | columns |
//! |---|---|
//! | `slot` | `slot_id` integer, equal to the one in the header; `header` 83 bytes; `commitment` 32; `wrapped` 48 |
//! | `credential` `bot` `policy` `setting` | `id` 16 bytes; `version` from 1; `epoch` from 1; `salt` 32; `commitment` 32; `ciphertext` |
//! | `audit` | `seq` from 1 without a gap; `head` 32 bytes; `body` text |
//! | `state` | one row with `one` = 1; `body`; `mac` 32 bytes |
//!
//! # Slots
//! A slot wraps the vault key VK (32 random bytes) for one way to unlock. A vault has 1 to 8, at least one of them a
//! password. The header, 83 bytes:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | `SGNVAULT` |
//! | 8 | 2 | version: u16 = 1 |
//! | 10 | 16 | vault id |
//! | 26 | 1 | kind: 1 password, 2 key file, 3 recovery key |
//! | 27 | 1 | kdf: 1 Argon2id with kind 1, 2 HKDF with kinds 2 and 3; no other pair |
//! | 28 | 4 | memory in KiB: u32, 65 536 to 1 048 576; 0 with kdf 2 |
//! | 32 | 4 | passes: u32, 3 to 10; 0 with kdf 2 |
//! | 36 | 1 | lanes: 1 to 8; 0 with kdf 2 |
//! | 37 | 32 | salt, new whenever the slot is written |
//! | 69 | 2 | flags: u16 = 0 |
//! | 71 | 4 | slot id: u32, from 1 |
//! | 75 | 8 | created: u64, **seconds** since 1970-01-01T00:00:00Z |
//!
//! All of it is checked, for every slot of the vault, before anything is hashed.
//!
//! ```text
//! KEK (64 bytes)            = Argon2id v0x13 (RFC 9106): password, salt, associated data = SHA-256(header), no secret
//!                             or, with kdf 2: HKDF(secret, salt, enc("signvault/1/slot", header))
//! K_w 32 ‖ N_w 12 ‖ C_w 32  = HKDF(KEK, vault id, enc("signvault/1/wrap", header))
//! commitment                = C_w, compared in constant time before anything is decrypted
//! wrapped                   = AES-GCM(K_w, N_w, VK, associated data = header)
//! ```
//!
//! The secret of a password slot is the password's bytes as they were typed, 1 to 1024, in no other normal form. The
//! secret of a key file is its 32 bytes. The secret of a recovery key is its 32 raw bytes; its text form is 52
//! characters of base32 in thirteen groups of four with hyphens between. Case, hyphens and white space at the ends do
//! not matter; the four unused bits of the last character are zero.
//!
//! # Subkeys
//! ```text
//! K_name = HKDF(VK, vault id, enc("signvault/1/sub", name, epoch u32)), 32 bytes
//! ```
//! for the names `record`, `hedge`, `state`, `audit`, `anchor` and `backup`. `token` is reserved. The epoch counts the
//! vault keys that a vault has had. `password change --rotate-key` makes another: every record and the state row are of the
//! state row's epoch then, with the ids and versions they had.
//!
//! # Records
//! ```text
//! A              = enc("signvault/1/record", vault id, table, id, version u64, epoch u32, kind u8)
//! P              = enc(table, id, version u64, kind u8, JSON) ‖ 0x80 ‖ zeros, up to the next multiple of 256 bytes
//! salt           = HMAC(K_hedge, 32 random bytes ‖ enc(A, P))
//! K ‖ N ‖ C      = HKDF(K_record, salt, A), 32, 12 and 32 bytes
//! commitment     = C
//! ciphertext     = AES-GCM(K, N, P, associated data = A)
//! ```
//! `table` is the table's name. To open: derive, compare C, decrypt, compare the repeated identity, check the padding
//! (0x80, then fewer than 256 zeros and nothing else). The salt can't be recomputed by a reader, and need not be.
//!
//! | table | kind | JSON |
//! |---|---|---|
//! | `credential` | 1 | `{"card": {…}, "secrets": {…}}` |
//! | `bot` | 2 | the bot |
//! | `policy` | 3 | the policy |
//! | `setting` | 4 | by its member `setting`, see below |
//!
//! A card: `name`, `exchange` (the recipe's name), `label` (string or null), `environment` (`"live"` or `"demo"`),
//! `region`, `permissions` (array of strings), `ips` (array of strings), `base_url` (string or null), `idle_days`
//! (number or null), `created` (milliseconds), `masked_key`. The secrets: `api_key`, `secret`, `passphrase`, all strings.
//!
//! A bot: `name`, `token_hash` (array of 32 numbers, each a byte), `credentials` (array of ids as text), `policy` (id as
//! text, or null: reading only), `uids` (array of numbers; empty means any), `created` (milliseconds), `expires`
//! (milliseconds or null), `revoked` (boolean), `mode` (`"normal"`, `"reduce-only"` or `"cancel-only"`).
//!
//! A setting:
//!
//! | `setting` | members | id, 16 bytes |
//! |---|---|---|
//! | `mode` | `mode`: as a bot's; at most one | `signvault / mode` |
//! | `signing_key` | `seed`: 64 hexadecimal digits, the Ed25519 seed (RFC 8032) that signs checkpoints; one | `signvault / sign` |
//! | `audit_key` | `first_seq`, `last_seq`: numbers; `key`: 64 hexadecimal digits. The audit key of an epoch that is over, and the rows that it chained | `audit key / `, then the epoch u32 |
//!
//! A policy: `name`, `text` (the policy file as it was set), `version` (how often the text was set; the record's own
//! version counts reference prices too), `references` (object from instrument to `{"price": string, "given":
//! milliseconds}`).
//!
//! # Tokens
//! `svb_<id>_<secret>_<checksum>`: the bot's id as text (26 characters), 32 random bytes (52), and the first four bytes
//! of the SHA-256 of everything before the last underscore (7), all in lower-case base32 without padding. The bot's
//! record keeps `SHA-256(enc("signvault/1/token", id, secret))` with the raw bytes of both. The token itself is nowhere.
//!
//! # The state row
//! Written in the transaction of every change of a record or a slot, of every checkpoint and of every prune; another ledger
//! row alone does not change it.
//! `mac` = HMAC(K_state, body), and body = `enc` of nineteen items:
//!
//! | item | bytes | content |
//! |---|---|---|
//! | 1 | 16 | vault id |
//! | 2 | 8 | state version: u64, how often the vault has changed, from 1 |
//! | 3 | 4 | epoch: u32 |
//! | 4 to 7 | 8 each | u64: how many credentials, bots, policies, settings |
//! | 8 | 32 | root: SHA-256 of `enc(table, id, version u64, commitment)` of each record, joined, sorted by table name, then id |
//! | 9 | 32 | slots: SHA-256 of `enc(header, commitment, wrapped)` of each slot, joined, sorted by slot id |
//! | 10 | 32 | schema: SHA-256 of `enc(type, name, tbl_name, sql)` of each row of `sqlite_schema`, joined, sorted by type, then name, as bytes; a missing `sql` is empty |
//! | 11 | 8 | audit sequence: u64, the last ledger row at the time of the change |
//! | 12 | 32 | audit head after that row |
//! | 13 | 8 | first kept row: u64; 1 unless older rows were pruned |
//! | 14 | 32 | audit head before the first kept row |
//! | 15 | 8 | highest wall time seen: i64, milliseconds |
//! | 16 | 32 | digest before the first kept row |
//! | 17 to 19 | 8, 32, 32 | the last checkpoint: u64 audit sequence, audit head and digest after that row; 0 and zeros before the first |
//!
//! # The ledger
//! ```text
//! head_0 = 32 zero bytes
//! head_n = HMAC(K_audit, enc(vault id, n u64, head_(n-1), body_n))
//!
//! digest_0 = 32 zero bytes
//! digest_n = SHA-256(enc(digest_(n-1), n u64, head_n, body_n))
//! ```
//! K_audit is the key whose range holds the row: that of an `audit_key` setting, or else the one of the state row's epoch. The
//! chain goes on over a change of keys: the first row under a new key follows from the last head under the old one.
//! `body` is hashed as it is stored. The digest needs no key, so that a signature over one digest lets anyone check every
//! row up to it. The chain begins at the first kept row and the head before it, both from the state
//! row, and must pass through the state row's point (items 11 and 12) and, with its digest, through the checkpoint (items
//! 17 to 19). Rows after that point belong to it as far as they
//! follow; how many there must be at least, only the anchor knows.
//!
//! A body is one flat JSON object: `time` (RFC 3339, UTC, three decimals), `boot_ms` (number), `event`, then by event:
//!
//! | `event` | members; those with ? may be missing |
//! |---|---|
//! | `init` | |
//! | `unlock` | `slot`, `failed_attempts` (numbers), `accepted_rollback` (boolean), `refusal`?: what was accepted, in words that name both versions; `accepted_clock` (boolean) |
//! | `lock` | `why`: `asked`, `shutdown`, or `audit_broken` when an old row turned out not to be what was written |
//! | `password_change` | `slot` |
//! | `key_rotation` | `epoch`: the new one; `slot`: the one that wraps it; `removed_slots`: array of numbers. The first row under the new key |
//! | `slot` | `action`: `add` or `remove`; `slot`; `kind`: `password`, `key-file` or `recovery` |
//! | `credential` | `action`: `add`, `edit`, `rotate` or `remove`; `credential`: its name |
//! | `bot` | `action`: `add`, `rotate`, `revoke` or `remove`; `bot`: its name |
//! | `policy` | `action`: `set` or `remove`; `policy`: its name; `version`: number |
//! | `reference` | `policy`, `instrument`, `price`: strings |
//! | `mode` | `mode`: `normal`, `reduce-only` or `cancel-only`; `bot`?: its name, when only it is meant; `why`?: `disk`, when no admin said so but the space on the ledger's disk. That is a mode of its own beside the admin's and the bot's, the strictest holds, and it begins at `normal` with every unlock |
//! | `clock` | `from`, `to`: times like `time`; `why`: `synchronised` |
//! | `backup` | |
//! | `migrate` | `from`, `to`: numbers, versions of the schema |
//! | `restore` | `state_version`: number; `reset_limits`: boolean. Unless it is true, every rolling limit counts as spent until its window has passed since this row |
//! | `signing_key` | `key`: the public key that was made, for a vault that had none |
//! | `checkpoint` | `vault`: id; `from`, `to`: numbers; `head`, `digest`, `key`, `signature`: hexadecimal; `counts`: boolean |
//! | `prune` | as `checkpoint` |
//! | `refused` | `peer`: `tcp` or `uid N`; `counts`: object from code to number |
//! | `sign` | `decision`: `allow` or `deny`; `code`? of a denial; `bot`; `uid`? on a Unix socket; `credential`?; `endpoint`? as `METHOD /path`; `grant`?; `effect`?; `channel`?; `path_sha256`?; `body_sha256`?; `policy` as `name@version`; `rule`? of the policy that denied; `shadow`?: the code of the denial that there would have been; `counted`? in rolling limits |
//!
//! Hashes are lower-case hexadecimal: of the path with its query, of the body. `path_sha256` is missing where the path is
//! the endpoint's and nothing else, and from the row of a WebSocket login, which has its `channel` instead: `private` or
//! `business`. A name stands in a row only if the vault knows it: `credential` and `endpoint` are missing from the row of an
//! ask that named another.
//!
//! `counted` is `{"bot": id, "credential": id, "orders": number, "notional": decimal number as text, "ids": [hash, …]}`:
//! these rows are the counters of rolling limits. An unlock adds those of the last days up again; there is no other store
//! of them. A client order id stands there as the first half of a SHA-256.
//!
//! ## Checkpoints and prunes
//! ```text
//! signature = Ed25519(seed, enc("signvault/1/checkpoint", vault id, from u64, to u64, head, digest))
//!             or, of a prune: the same with "signvault/1/prune"
//! ```
//! A checkpoint's row is row `to` + 1: `head` and `digest` are those after row `to`. `from` is the row of the checkpoint
//! before it, 0 when there was none. `counts` says whether a row from `from` to `to` has a member `counted`, or tells of a
//! restore. The state row that is written with it names the same point in items 17 to 19. There is a checkpoint after 16 384
//! rows, after a day in which there were rows, and before an export.
//!
//! A prune takes out the rows `from` to `to`, the first ones that were kept; `head` and `digest` are those after row `to`,
//! so the digest covers whatever was ever taken out. `counts` is false. The state row that is written with it names the
//! same point in items 13, 14 and 16. What is taken out is signed by a checkpoint first, and at least seven days old.
//!
//! An unlock of more than 16 384 rows verifies those after the last checkpoint before it answers. It goes further back, from
//! checkpoint to checkpoint by `from`, while they are from the last seven days, and begins before the oldest one of these
//! with `counts`. Each checkpoint's row is believed by its own head, which follows from the `head` in it. The other rows are
//! verified while the vault is open; one that does not follow locks it.
//!
//! # Exports
//! A line of JSON for each row, ascending: `{"seq": number, "head": 64 hexadecimal digits, "body": string}`. To check one
//! with the public key alone: begin with digest_0 if the first row is row 1, else with the digest of a `prune` row, rightly
//! signed, whose `to` is the row before the first; see that no number is missing; work out each digest; at every
//! `checkpoint` row compare `to`, `head` and `digest` with what was worked out, `from` with the row of the checkpoint before,
//! and check the signature, as at every `prune` row. Rows after the last checkpoint are not covered, and an export without
//! one proves nothing. The text of the last checkpoint's row is covered as far as it is signed: not its time. Whether rows
//! are missing at the end, only a later export or the vault can tell. A public key in a file is one line of 64 hexadecimal
//! digits.
//!
//! # The anchor
//! 512 bytes: slot 0, then slot 1, each of 256 bytes:
//! ```text
//! B    = enc(vault id, state version u64, audit sequence u64, audit head, slot number u32), 88 bytes
//! slot = B ‖ HMAC(K_anchor, B) ‖ 136 zero bytes
//! ```
//! A slot counts if all of its 256 bytes are right, and of two that count the one with the higher (state version, audit
//! sequence). The database is older than the anchor, and refused, if its state version or its last ledger row is lower,
//! or if the head of the anchor's row is another one (rows that were pruned apart). A database that is ahead is what a
//! crash leaves: the anchor is written after the commit. Before the vault key is replaced the older slot is written under the new
//! key, with the mark of before; after it the other slot, with the new mark. So either key finds a slot of its own whenever
//! the two can be met.
//!
//! An unlocked vault holds an exclusive `flock` on the file. A file `anchor.kept-N` beside it is the anchor of a vault that
//! was not in the state directory any more when `init` made another.
//!
//! # Failed unlocks
//! `attempts` is `{"failed":N,"last_ms":T}`: how many unlocks failed since the last that succeeded, and when the last of
//! them began. It is replaced as a whole and synced before a secret is hashed. A missing file means none, one that can't
//! be read counts as seven. It is not authenticated: there is no key yet when it is needed.
//!
//! # Backups
//! ```text
//! header, 87 bytes + slots × 163
//!   0   8   "SGNVBKUP"
//!   8   2   version u16 = 1
//!  10  16   vault id
//!  26   4   epoch u32
//!  30   8   state version u64
//!  38   8   audit sequence u64: the last ledger row in it
//!  46   8   created, milliseconds
//!  54  32   salt, new for each backup
//!  86   1   number of slots, at most 8
//!  87       the slots as in the database: header 83 ‖ commitment 32 ‖ wrapped 48
//!
//! then chunks until the end of the file: length u32 ‖ sealed, where length counts the sealed bytes
//!   K ‖ N ‖ C = HKDF(K_backup, salt, enc("signvault/1/backup", header, index u64, last u8)), 32, 12 and 32 bytes
//!   sealed    = C ‖ AES-GCM(K, N, plaintext, no associated data)
//! ```
//! `header` is all bytes before the first chunk. `index` counts from 0; `last` is 1 for the chunk with which the file
//! ends and 0 for the others. The plaintexts, joined, are the database as one SQLite file; each has 1 MiB but the last,
//! which may have less. To open a backup: parse the slots with their bounds, open one, derive K_backup for the header's
//! epoch, open every chunk in order. Nothing in it is believed before all chunks have opened.
