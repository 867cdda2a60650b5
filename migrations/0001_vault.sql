-- The first layout. Every secret is sealed before it gets here (see the manual's file format): of a record SQLite sees
-- id, version and length, never a name or a key. The ledger's rows are plain text, chained but not sealed, and so are
-- the names in them. Tables are STRICT so that a row of another type cannot be planted.

-- One row per way to unlock; all wrap the same vault key.
CREATE TABLE slot (
    slot_id    INTEGER PRIMARY KEY,
    header     BLOB NOT NULL,
    commitment BLOB NOT NULL,
    wrapped    BLOB NOT NULL
) STRICT;

-- Sealed records, one table per noun.
CREATE TABLE credential (
    id         BLOB PRIMARY KEY NOT NULL,
    version    INTEGER NOT NULL,
    epoch      INTEGER NOT NULL,
    salt       BLOB NOT NULL,
    commitment BLOB NOT NULL,
    ciphertext BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE bot (
    id         BLOB PRIMARY KEY NOT NULL,
    version    INTEGER NOT NULL,
    epoch      INTEGER NOT NULL,
    salt       BLOB NOT NULL,
    commitment BLOB NOT NULL,
    ciphertext BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE policy (
    id         BLOB PRIMARY KEY NOT NULL,
    version    INTEGER NOT NULL,
    epoch      INTEGER NOT NULL,
    salt       BLOB NOT NULL,
    commitment BLOB NOT NULL,
    ciphertext BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE setting (
    id         BLOB PRIMARY KEY NOT NULL,
    version    INTEGER NOT NULL,
    epoch      INTEGER NOT NULL,
    salt       BLOB NOT NULL,
    commitment BLOB NOT NULL,
    ciphertext BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The ledger: a chain of rows, appended only.
CREATE TABLE audit (
    seq  INTEGER PRIMARY KEY,
    head BLOB NOT NULL,
    body TEXT NOT NULL
) STRICT;

-- One row that says what all the others must be.
CREATE TABLE state (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    body BLOB NOT NULL,
    mac  BLOB NOT NULL
) STRICT;
