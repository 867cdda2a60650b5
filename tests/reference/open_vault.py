#!/usr/bin/env python3
"""Opens a signvault database without signvault: an independent reader of the vault format, version 1.

    open_vault.py vault.db < password          one line; its line end is not part of the password
    open_vault.py vault.db --recovery < key    the recovery key as it was shown
    open_vault.py vault.db --key-file FILE

Prints what the vault holds as one JSON object, secrets left out unless --reveal is given. Verifies every slot's bounds,
the state row's MAC, counts, roots and schema, every record, the audit chain and every signature in it: exit 1 and one line on stderr if anything is
wrong. Never writes to the vault: it reads a private copy. See README.md for the layouts.
"""
import argparse
import base64
import contextlib
import hashlib
import hmac
import json
import os
import pathlib
import shutil
import sqlite3
import struct
import sys
import tempfile
from collections import namedtuple

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KINDS = {"credential": 1, "bot": 2, "policy": 3, "setting": 4}  # table → kind byte
SLOT_KINDS = {1: "password", 2: "key file", 3: "recovery"}
BLOCK_BYTES = 256
HEADER = struct.Struct(">8sH16sBBIIB32sHIQ")
Header = namedtuple("Header", "magic version vault_id kind kdf m_kib t p salt flags slot_id created_s")
State = namedtuple("State", "vault_id state_version epoch credential bot policy setting root slots schema_hash audit_seq "
                            "audit_head first_kept_seq head_before_first wall_high_ms digest_before_first checkpoint_seq "
                            "checkpoint_head checkpoint_digest")
STATE_SIZES = State(16, 8, 4, 8, 8, 8, 8, 32, 32, 32, 8, 32, 8, 32, 8, 32, 8, 32, 32)
STATE_NUMBERS = {"state_version", "epoch", "credential", "bot", "policy", "setting", "audit_seq", "first_kept_seq", "wall_high_ms", "checkpoint_seq"}
# Members of a record that may be shown; everything else stands for its size only.
SHOWN = {"name", "exchange", "label", "environment", "region", "permissions", "ips", "base_url", "idle_days", "created", "masked_key",
         "credentials", "policy", "uids", "expires", "revoked"}


class Broken(Exception):
    """The vault does not open, or something in it is not what was written; the text says which thing."""


def u32(number):
    """Four bytes, big-endian."""
    return number.to_bytes(4, "big")


def u64(number):
    """Eight bytes, big-endian."""
    return number.to_bytes(8, "big")


def enc(*items):
    """Each item as its length in four bytes, then its bytes: no two lists of items give the same text."""
    return b"".join(u32(len(item)) + item for item in items)


def dec(data, count):
    """The first `count` items of an `enc`, and what follows them."""
    items = []
    for _ in range(count):
        size = int.from_bytes(data[:4], "big")
        if len(data) < 4 + size:
            raise Broken("an encoded list is cut short")
        items.append(data[4:4 + size])
        data = data[4 + size:]
    return items, data


def hkdf(key, salt, info, length):
    """HKDF-SHA-256, extract and expand (RFC 5869)."""
    return HKDF(SHA256(), length, salt, info).derive(key)


def mac(key, data):
    """HMAC-SHA-256."""
    return hmac.digest(key, data, "sha256")


# --- slots: the ways to the vault key ---

def parse_header(header):
    """The fields of a slot header, refused before any hashing if they are out of bounds."""
    if len(header) != HEADER.size:
        raise Broken("a slot header is not 83 bytes long")
    fields = Header._make(HEADER.unpack(header))
    if fields.magic != b"SGNVAULT" or fields.version != 1 or fields.flags != 0:
        raise Broken("a slot header is of another format")
    costs = (fields.m_kib, fields.t, fields.p)
    if (fields.kind, fields.kdf) == (1, 1):
        sane = 65536 <= fields.m_kib <= 1048576 and 3 <= fields.t <= 10 and 1 <= fields.p <= 8
    else:
        sane = fields.kind in (2, 3) and fields.kdf == 2 and costs == (0, 0, 0)
    if not sane:
        raise Broken(f"slot {fields.slot_id}: key derivation out of bounds")
    return fields


def wrapping_key(header, secret):
    """The 76 bytes that a slot derives from its secret: key, nonce, commitment. Also the KEK, for the known answers."""
    fields = parse_header(header)
    if fields.kdf == 1:
        kek = Argon2id(salt=fields.salt, length=64, iterations=fields.t, lanes=fields.p, memory_cost=fields.m_kib,
                       ad=hashlib.sha256(header).digest()).derive(secret)
    else:
        kek = hkdf(secret, fields.salt, enc(b"signvault/1/slot", header), 64)
    okm = hkdf(kek, fields.vault_id, enc(b"signvault/1/wrap", header), 76)
    return okm[:32], okm[32:44], okm[44:], kek


def open_slot(header, commitment, wrapped, secret):
    """The vault key, or None if the secret is not this slot's. The commitment is compared before anything is decrypted."""
    key, nonce, expected, _ = wrapping_key(header, secret)
    if not hmac.compare_digest(expected, commitment):
        return None
    return decrypt(key, nonce, wrapped, header, "a slot's wrapped key")


def decrypt(key, nonce, ciphertext, associated, what):
    """AES-256-GCM."""
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, associated)
    except InvalidTag:
        raise Broken(f"{what} does not verify") from None


# --- records ---

class Keys:
    """The vault key and what is derived from it."""

    def __init__(self, vault_id, vault_key):
        self.vault_id, self.vault_key = vault_id, vault_key

    def derive(self, name, epoch):
        """The subkey of this name and epoch."""
        return hkdf(self.vault_key, self.vault_id, enc(b"signvault/1/sub", name, u32(epoch)), 32)


def open_record(keys, table, record_id, version, epoch, salt, commitment, ciphertext):
    """The plaintext of a row, padding included."""
    kind, what = KINDS[table], f"{table} {record_id.hex()}"
    associated = enc(b"signvault/1/record", keys.vault_id, table.encode(), record_id, u64(version), u32(epoch), bytes([kind]))
    okm = hkdf(keys.derive(b"record", epoch), salt, associated, 76)
    if not hmac.compare_digest(okm[44:], commitment):
        raise Broken(f"{what}: the commitment does not match")
    return decrypt(okm[:32], okm[32:44], ciphertext, associated, what)


def parse_plaintext(plaintext, table, record_id, version):
    """The JSON inside a plaintext, whose repeated identity and padding must be exact."""
    what = f"{table} {record_id.hex()}"
    (*identity, content), padding = dec(plaintext, 5)
    if identity != [table.encode(), record_id, u64(version), bytes([KINDS[table]])]:
        raise Broken(f"{what}: the plaintext names another record")
    if padding[:1] != b"\x80" or padding.strip(b"\0") != b"\x80" or len(padding) > BLOCK_BYTES or len(plaintext) % BLOCK_BYTES:
        raise Broken(f"{what}: wrong padding")
    return json.loads(content)


def redact(value, shown=False):
    """A record without secrets: only members known to be harmless keep their values."""
    if isinstance(value, dict):
        return {name: redact(inner, shown or name in SHOWN) for name, inner in value.items()}
    if isinstance(value, list):
        return [redact(inner, shown) for inner in value] if shown else f"({len(value)} items)"
    if shown or isinstance(value, bool) or value is None:
        return value
    return f"({len(str(value).encode())} bytes)"


# --- the state row ---

def parse_state(body):
    """The fields of the state row, each of its exact size."""
    items, rest = dec(body, len(STATE_SIZES))
    if rest or tuple(map(len, items)) != STATE_SIZES:
        raise Broken("the state row has another layout")
    return State._make(int.from_bytes(item, "big") if name in STATE_NUMBERS else item for name, item in zip(State._fields, items))


def check_state(state, keys, rows):
    """The MAC first; then everything the state row says about the other tables and the schema."""
    records = rows.records
    if not hmac.compare_digest(mac(keys.derive(b"state", state.epoch), rows.state_body), rows.state_mac):
        raise Broken("the state row's MAC does not verify")
    if state.vault_id != keys.vault_id:
        raise Broken("the state row is of another vault")
    for table in KINDS:
        count = sum(row[0] == table for row in records)
        if count != getattr(state, table):
            raise Broken(f"{table}: {count} rows, the state row says {getattr(state, table)}")
    listed = b"".join(enc(table.encode(), record_id, u64(version), commitment)
                      for table, record_id, version, _epoch, _salt, commitment, _text in sorted(records, key=lambda row: row[:2]))
    if hashlib.sha256(listed).digest() != state.root:
        raise Broken("the records are not those that the state row lists")
    if hashlib.sha256(b"".join(enc(*sealed) for _id, *sealed in rows.slots)).digest() != state.slots:
        raise Broken("the slots are not those that the state row lists")
    if hashlib.sha256(b"".join(enc(*parts) for parts in rows.schema)).digest() != state.schema_hash:
        raise Broken("the schema is not the one that the state row names")


# --- the audit chain ---

def retired_audit_keys(opened):
    """Audit keys of before a key rotation, each with the range of sequence numbers it covers (README.md)."""
    retired = [record["content"] for record in opened if record["table"] == "setting" and record["content"]["setting"] == "audit_key"]
    return [(each["first_seq"], each["last_seq"], bytes.fromhex(each["key"])) for each in retired]


def public_key(opened):
    """The public half of the key that signs checkpoints, or None if the vault has none yet."""
    seeds = [record["content"]["seed"] for record in opened if record["table"] == "setting" and record["content"]["setting"] == "signing_key"]
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seeds[0])).public_key() if seeds else None


def verify_signature(signer, vault_id, seq, row):
    """The signature of a checkpoint's or a prune's row, and that it names this vault and the vault's own key."""
    message = enc(b"signvault/1/" + row["event"].encode(), vault_id, u64(row["from"]), u64(row["to"]), bytes.fromhex(row["head"]),
                  bytes.fromhex(row["digest"]))
    if signer is None or row["vault"] != text_id(vault_id) or bytes.fromhex(row["key"]) != signer.public_bytes_raw():
        raise Broken(f"audit: row {seq} is signed by another key or for another vault")
    try:
        signer.verify(bytes.fromhex(row["signature"]), message)
    except InvalidSignature:
        raise Broken(f"audit: the signature of row {seq} does not verify") from None


def verify_chain(keys, state, rows, retired, signer):
    """Recomputes every head from the one before it; the state row must name a point on this chain."""
    signatures, signed_to, last_prune = 0, 0, (0, bytes(32), bytes(32))
    current, head, expected = keys.derive(b"audit", state.epoch), state.head_before_first, state.first_kept_seq
    passed = state.audit_seq == expected - 1 and hmac.compare_digest(state.audit_head, head)
    digest, signed = state.digest_before_first, (state.checkpoint_seq, state.checkpoint_head, state.checkpoint_digest)
    checked = state.checkpoint_seq < expected
    for seq, stored, body in rows:
        if seq != expected:
            raise Broken(f"audit: row {expected} is missing, {seq} follows")
        key = next((key for first, last, key in retired if first <= seq <= last), current)
        before, head = (seq - 1, head, digest), mac(key, enc(keys.vault_id, u64(seq), head, body))
        if not hmac.compare_digest(head, stored):
            raise Broken(f"audit: row {seq} does not continue the chain")
        digest = hashlib.sha256(enc(digest, u64(seq), head, body)).digest()
        checked = checked or (seq, head, digest) == signed
        attested = json.loads(body) if b'"event":"checkpoint"' in body or b'"event":"prune"' in body else None
        if attested:
            verify_signature(signer, keys.vault_id, seq, attested)
            signatures += 1
            names = (attested["to"], bytes.fromhex(attested["head"]), bytes.fromhex(attested["digest"]))
            if attested["event"] == "prune":
                last_prune = names
            elif names != before or signed_to not in (0, attested["from"]):
                raise Broken(f"audit: the checkpoint in row {seq} is of other rows")
            else:
                signed_to = seq
        if seq == state.audit_seq:
            passed = hmac.compare_digest(head, state.audit_head)
        expected += 1
    if not passed:
        raise Broken(f"audit: the chain does not pass through the state row's point, {state.audit_seq}")
    if not checked:
        raise Broken(f"audit: the chain does not pass through the checkpoint, {state.checkpoint_seq}")
    if state.first_kept_seq > 1 and last_prune != (state.first_kept_seq - 1, state.head_before_first, state.digest_before_first):
        raise Broken(f"audit: no row tells that the rows before {state.first_kept_seq} were pruned")
    return {"rows": len(rows), "first_seq": state.first_kept_seq, "last_seq": expected - 1, "head": head.hex(), "digest": digest.hex(),
            "signatures": signatures, "public_key": signer.public_bytes_raw().hex() if signer else None}


# --- the database ---

@contextlib.contextmanager
def copied(path):
    """A connection to a private copy of the database and its write-ahead log.

    Opening the original could leave a -shm file beside it, or fail while the daemon holds its exclusive lock. The copy
    is what a crash at this moment would leave behind, which SQLite recovers. Only ciphertext is copied.
    """
    with tempfile.TemporaryDirectory(prefix="open_vault_") as folder:
        target = pathlib.Path(folder) / "vault.db"
        for _ in range(20):
            before = stamps(path)
            for suffix in ("", "-wal"):
                with contextlib.suppress(FileNotFoundError) if suffix else contextlib.nullcontext():
                    shutil.copyfile(str(path) + suffix, str(target) + suffix)
            if stamps(path) == before:
                break
        else:
            raise Broken("the database does not keep still; stop the daemon or copy it yourself")
        # Not read-only towards the copy's folder: SQLite has to build the index of the write-ahead log there.
        with contextlib.closing(sqlite3.connect(f"{target.as_uri()}?mode=ro", uri=True)) as connection:
            connection.text_factory = bytes  # the audit body is hashed as stored
            yield connection


def stamps(path):
    """Size and time of change of both files."""
    return [(os.stat(name).st_size, os.stat(name).st_mtime_ns) for name in (str(path), str(path) + "-wal") if os.path.exists(name)]


Rows = namedtuple("Rows", "schema slots records audit state_body state_mac")


def read_rows(connection):
    """Everything, in the orders that the roots are taken over."""
    if connection.execute("PRAGMA integrity_check").fetchall() != [(b"ok",)]:
        raise Broken("SQLite's own integrity check fails")
    schema = connection.execute("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master ORDER BY type, name").fetchall()
    slots = connection.execute("SELECT slot_id, header, commitment, wrapped FROM slot ORDER BY slot_id").fetchall()
    records = [(table, *row) for table in sorted(KINDS) for row in connection.execute(
        f"SELECT id, version, epoch, salt, commitment, ciphertext FROM {table} ORDER BY id")]
    audit = connection.execute("SELECT seq, head, body FROM audit ORDER BY seq").fetchall()
    state = connection.execute("SELECT body, mac FROM state").fetchall()
    if len(state) != 1:
        raise Broken("there is not exactly one state row")
    return Rows(schema, slots, records, audit, *state[0])


def unlock(slots, kind, secret):
    """The keys of the vault, by the first slot of this kind that the secret opens. All slots must be well-formed."""
    headers = [parse_header(header) for _id, header, _commitment, _wrapped in slots]
    for (slot_id, *_), fields in zip(slots, headers):
        if fields.slot_id != slot_id or fields.vault_id != headers[0].vault_id:
            raise Broken(f"slot {slot_id} carries another slot's header")
    for (_id, *sealed), fields in zip(slots, headers):
        vault_key = open_slot(*sealed, secret) if fields.kind == kind else None
        if vault_key is not None:
            return Keys(fields.vault_id, vault_key)
    raise Broken(f"no {SLOT_KINDS[kind]} slot opens with this")


def open_vault(path, kind, secret, reveal=False):
    """The whole vault as plain data; Broken if anything in it does not verify."""
    with copied(path) as connection:
        rows = read_rows(connection)
    keys, state = unlock(rows.slots, kind, secret), parse_state(rows.state_body)
    check_state(state, keys, rows)
    opened = []
    for table, record_id, version, epoch, *sealed in rows.records:
        content = parse_plaintext(open_record(keys, table, record_id, version, epoch, *sealed), table, record_id, version)
        opened.append({"table": table, "id": text_id(record_id), "version": version, "epoch": epoch, "content": content})
    audit = verify_chain(keys, state, rows.audit, retired_audit_keys(opened), public_key(opened))
    for record in opened if not reveal else ():
        record["content"] = redact(record["content"], shown=record["table"] == "policy")
    return {"vault_id": text_id(keys.vault_id), "slots": [describe(slot[1]) for slot in rows.slots], "state": describe_state(state),
            "records": opened, "audit": audit}


def text_id(data):
    """26 characters of lower-case base32, as everywhere else in signvault."""
    return base64.b32encode(data).decode().rstrip("=").lower()


def describe(header):
    """What a slot says of itself."""
    fields = parse_header(header)
    return {"slot_id": fields.slot_id, "kind": SLOT_KINDS[fields.kind], "m_kib": fields.m_kib, "t": fields.t, "p": fields.p,
            "created_s": fields.created_s}


def describe_state(state):
    """The state row with its bytes in hex."""
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in state._asdict().items() if name != "vault_id"}


# --- the command ---

def read_secret(options):
    """Which kind of slot, and its secret's bytes."""
    if options.key_file:
        secret = pathlib.Path(options.key_file).read_bytes()
        if len(secret) != 32:
            raise Broken("a key file is exactly 32 bytes long")
        return 2, secret
    line = sys.stdin.buffer.readline()
    line = line[:-2] if line.endswith(b"\r\n") else line[:-1] if line.endswith(b"\n") else line
    if options.recovery:
        letters = line.decode("ascii", "replace").replace("-", "").replace(" ", "").upper()
        try:
            return 3, base64.b32decode(letters + "=" * (-len(letters) % 8))
        except ValueError:
            raise Broken("a recovery key is 52 base32 characters") from None
    return 1, line


def main():
    """Opens, prints, and says what is broken."""
    parser = argparse.ArgumentParser(description="an independent reader of signvault's database")
    parser.add_argument("database", type=pathlib.Path, help="vault.db")
    parser.add_argument("--key-file", help="open a key file slot instead of a password slot")
    parser.add_argument("--recovery", action="store_true", help="the line on stdin is the recovery key")
    parser.add_argument("--reveal", action="store_true", help="print secrets too")
    options = parser.parse_args()
    try:
        vault = open_vault(options.database.resolve(), *read_secret(options), reveal=options.reveal)
    except (Broken, OSError, sqlite3.Error, ValueError) as error:
        print(f"open_vault: {error}", file=sys.stderr)
        return 1
    json.dump(vault, sys.stdout, indent=1, ensure_ascii=False)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
