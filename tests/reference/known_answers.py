#!/usr/bin/env python3
"""Checks open_vault.py itself against a file of known answers for the vault format's primitives.

    known_answers.py FILE.json

The file has `vault_id`, `vault_key`, `slots` [{name, secret, header, kek, commitment, wrapped}], `subkeys` {name: key},
`records` [{table, id, version, epoch, plaintext, salt, commitment, ciphertext}], `audit` [{sequence, body, head}]; bytes in
hex, epoch 1. Prints `N passed, N failed`, exit 1 on any failure.
"""
import json
import sys

import open_vault


def checks(answers):
    """Name and truth of every answer."""
    raw = bytes.fromhex
    vault_key = raw(answers["vault_key"])
    keys = open_vault.Keys(raw(answers["vault_id"]), vault_key)
    for slot in answers["slots"]:
        header, secret = raw(slot["header"]), raw(slot["secret"])
        yield f"{slot['name']}: KEK", open_vault.wrapping_key(header, secret)[3] == raw(slot["kek"])
        yield f"{slot['name']}: opens", open_vault.open_slot(header, raw(slot["commitment"]), raw(slot["wrapped"]), secret) == vault_key
        yield f"{slot['name']}: wrong secret", open_vault.open_slot(header, raw(slot["commitment"]), raw(slot["wrapped"]), secret + b"x") is None
    for name, key in answers["subkeys"].items():
        yield f"subkey {name}", keys.derive(name.encode(), 1) == raw(key)
    for row in answers["records"]:
        sealed = [raw(row[part]) for part in ("salt", "commitment", "ciphertext")]
        plaintext = open_vault.open_record(keys, row["table"], raw(row["id"]), row["version"], row["epoch"], *sealed)
        yield f"record {row['table']} {row['id']}", plaintext == raw(row["plaintext"])
    head = bytes(32)
    for row in answers["audit"]:
        head = open_vault.mac(keys.derive(b"audit", 1), open_vault.enc(keys.vault_id, open_vault.u64(row["sequence"]), head, raw(row["body"])))
        yield f"audit {row['sequence']}", head == raw(row["head"])


def main():
    """Runs the file named on the command line."""
    with open(sys.argv[1], encoding="utf-8") as file:
        results = list(checks(json.load(file)))
    failed = [name for name, passed in results if not passed]
    for name in failed:
        print(f"FAILED {name}")
    print(f"{len(results) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
