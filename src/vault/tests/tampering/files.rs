//! Whole files: older ones, others' ones, torn and cut ones, and what SQLite keeps beside a database.

use super::*;

const PAGE_BYTES: usize = 4096;

#[test]
fn t08_an_older_database_is_a_rollback_until_a_person_accepts_it() {
    let (bed, bob, _) = Bed::in_memory().furnish();
    bed.lock();
    let older = bed.crash_image();
    let bed = bed.reopened();
    bed.vault.revoke_bot("bob").unwrap();
    bed.lock();
    let rounds = Rounds::over(bed, bob);
    let roll_back = || std::fs::copy(older.paths().database(), rounds.database()).unwrap();
    roll_back();
    rounds.refuses("an older database", &["vault.rollback_detected"]);

    roll_back();
    let wrong = rounds.bed.vault.unlock(&key_file(&[7; 32]), Accept { rollback: true, clock: false }).unwrap_err();
    assert_eq!(code(&wrong), "unlock.failed", "accepting needs the key");
    rounds.bed.clock.pass(60_000);
    assert_eq!(code(&rounds.bed.unlock().unwrap_err()), "vault.rollback_detected");
    rounds.bed.unlock_accepting(Accept { rollback: true, clock: false }).unwrap();
    let row = rounds.bed.last_row();
    assert!(row.contains(r#""accepted_rollback":true,"refusal":"the database is at state version "#), "{row}");
    rounds.bed.sign(&rounds.bob, "main").unwrap();
    let bed = rounds.bed.reopened();
    assert!(bed.last_row().contains(r#""accepted_rollback":false"#), "what was accepted is the state from then on");
    bed.sign(&rounds.bob, "main").unwrap();
}

/// What a person accepts is an older state, not a changed one, and an anchor that is replaced is gone.
#[test]
fn t08_accepting_a_rollback_accepts_nothing_else() {
    let rounds = Rounds::furnished();
    for sql in [
        "UPDATE bot SET epoch = 1, ciphertext = zeroblob(length(ciphertext))",
        "DELETE FROM bot",
        "UPDATE audit SET body = body || ' ' WHERE seq = 3",
        "UPDATE state SET mac = zeroblob(32)",
        "CREATE TABLE planted (x)",
    ] {
        operate(&rounds.bed.paths(), sql);
        std::fs::remove_file(rounds.anchor()).unwrap();
        let before = files(&rounds.bed);
        let refused = rounds.bed.unlock_accepting(Accept { rollback: true, clock: true }).expect_err(sql);
        assert_ne!(code(&refused), "vault.rollback_detected", "{sql}");
        rounds.nothing_changed_since(&before, &refused, sql);
        rounds.put_back();
    }
    rounds.opens();
}

/// The documented limit: nothing is left that could remember. What is shown tells of it to who knows better.
#[test]
fn t09_database_and_anchor_rolled_back_together_go_unseen() {
    let (bed, bob, _) = Bed::in_memory().furnish();
    bed.lock();
    let older = bed.crash_image();
    let bed = bed.reopened();
    bed.vault.revoke_bot("bob").unwrap();
    let newest = bed.vault.position().unwrap().state_version;
    assert_eq!(older.unlock().unwrap().state_version, newest - 1);
    older.sign(&bob, "main").unwrap();
}

#[test]
fn t10_an_anchor_that_is_gone_changed_or_anothers_is_refused() {
    let other = Bed::in_memory();
    other.lock();
    let rounds = Rounds::furnished();
    let anchor = rounds.anchor();
    let whole = std::fs::read(&anchor).unwrap();
    let torn = |places: &[usize]| {
        let mut torn = whole.clone();
        places.iter().for_each(|place| torn[*place] ^= 0x20);
        std::fs::write(&anchor, torn).unwrap();
    };
    let cases: [(&str, &dyn Fn()); 8] = [
        ("gone", &|| std::fs::remove_file(&anchor).unwrap()),
        ("empty", &|| std::fs::write(&anchor, []).unwrap()),
        ("zeros", &|| std::fs::write(&anchor, [0; 512]).unwrap()),
        ("cut short", &|| std::fs::write(&anchor, &whole[..255]).unwrap()),
        ("both slots torn", &|| torn(&[40, 300])),
        ("both slots' padding", &|| torn(&[255, 511])),
        ("the slots exchanged", &|| std::fs::write(&anchor, [&whole[256..], &whole[..256]].concat()).unwrap()),
        ("another vault's", &|| assert_eq!(std::fs::copy(other.paths().anchor(), &anchor).unwrap(), 512)),
    ];
    for (what, tamper) in cases {
        tamper();
        rounds.refuses(what, &["vault.rollback_detected"]);
    }
    rounds.opens();
}

#[test]
fn t10_one_slot_of_the_anchor_is_enough() {
    let rounds = Rounds::furnished();
    let whole = std::fs::read(rounds.anchor()).unwrap();
    for at in (0..whole.len()).step_by(7) {
        let mut torn = whole.clone();
        torn[at] ^= 1 << (at % 8);
        std::fs::write(rounds.anchor(), torn).unwrap();
        rounds.bed.unlock().unwrap_or_else(|error| panic!("byte {at}: {error}"));
        rounds.bed.lock();
        rounds.put_back();
    }
    rounds.opens();
}

#[test]
fn t10_a_missing_anchor_can_be_accepted() {
    let rounds = Rounds::furnished();
    std::fs::remove_file(rounds.anchor()).unwrap();
    rounds.refusal("no anchor");
    rounds.bed.unlock_accepting(Accept { rollback: true, clock: false }).unwrap();
    rounds.bed.reopened();
}

#[test]
fn t11_a_database_cut_anywhere_is_refused() {
    let rounds = Rounds::furnished();
    let whole = std::fs::read(rounds.database()).unwrap();
    let pages = (0..whole.len()).step_by(PAGE_BYTES);
    let beside = pages.clone().flat_map(|page| [page + 1, page + 100, page + 512, page + PAGE_BYTES - 1]);
    for length in pages.chain(beside).filter(|length| *length < whole.len()) {
        let in_last_page = length > whole.len() - PAGE_BYTES;
        if in_last_page && whole[length..].iter().all(|byte| *byte == 0) {
            continue;
        }
        std::fs::write(rounds.database(), &whole[..length]).unwrap();
        let expected: &[&str] = match length {
            // SQLite fills the last page up with zeros: then what stood there is another, unless it was zeros.
            _ if in_last_page => &["vault.storage_corrupt", "vault.manifest_mismatch"],
            _ => &["vault.storage_corrupt"],
        };
        rounds.refuses(&format!("cut at {length} of {}", whole.len()), expected);
    }
    rounds.opens();
}

#[test]
fn t11_a_file_that_is_no_database_is_refused() {
    let rounds = Rounds::furnished();
    let text = b"not a database at all, but long enough to be looked at".repeat(200);
    for content in [vec![0; 8192], vec![0xff; 8192], text] {
        std::fs::write(rounds.database(), content).unwrap();
        rounds.refuses("no database", &["vault.storage_corrupt", "vault.schema_mismatch"]);
    }
    rounds.opens();
}

/// The header's 18th and 19th byte: which version may write and read the file.
#[test]
fn t11_a_database_that_says_it_cannot_be_written_or_read_is_refused() {
    let rounds = Rounds::furnished();
    let whole = std::fs::read(rounds.database()).unwrap();
    assert_eq!(whole[18..20], [2, 2]);
    for (at, value) in [(18, 0), (18, 3), (18, 255), (19, 0), (19, 3), (19, 255), (47, 9)] {
        let mut changed = whole.clone();
        changed[at] = value;
        std::fs::write(rounds.database(), changed).unwrap();
        match rounds.bed.unlock() {
            Ok(_) => assert_eq!(value, 0, "zero asks for nothing"),
            Err(error) => {
                assert!(["vault.storage_corrupt", "vault.schema_mismatch"].contains(&code(&error)), "{error}")
            }
        }
        rounds.bed.lock();
        rounds.put_back();
    }
    rounds.opens();
}

/// A vault as a crash leaves it: a revocation, which the anchor knows of, and three signatures, all in the log only.
fn crashed() -> (Rounds, u64) {
    let (bed, bob, _) = Bed::in_memory().furnish();
    let bed = bed.reopened();
    bed.vault.revoke_bot("eve").unwrap();
    let anchored = bed.rows().len() as u64;
    for _ in 0..3 {
        bed.sign(&bob, "main").unwrap();
    }
    (Rounds::over(bed.crash_image(), bob), anchored)
}

fn log_of(rounds: &Rounds) -> PathBuf {
    rounds.bed.paths().state_dir.join("vault.db-wal")
}

#[test]
fn t12_a_log_that_is_gone_cut_changed_or_anothers_loses_nothing_below_the_anchor() {
    let (rounds, anchored) = crashed();
    let (other, _) = crashed();
    let log = log_of(&rounds);
    let whole = std::fs::read(&log).unwrap();
    let mut broken = vec![("gone", None), ("empty", Some(Vec::new()))];
    broken.push(("another vault's", Some(std::fs::read(log_of(&other)).unwrap())));
    broken.push(("twice", Some([&whole[..], &whole[32..]].concat())));
    let frame = 24 + PAGE_BYTES;
    broken.extend((32..whole.len()).step_by(frame).map(|length| ("cut", Some(whole[..length].to_vec()))));
    broken.extend((0..whole.len()).step_by(97).map(|at| {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        ("flipped", Some(flipped))
    }));
    let (mut refused, mut opened) = (0, 0);
    for (what, content) in &broken {
        match content {
            None => std::fs::remove_file(&log).unwrap(),
            Some(content) => std::fs::write(&log, content).unwrap(),
        }
        let before = files(&rounds.bed);
        match rounds.bed.unlock() {
            Ok(_) => {
                opened += 1;
                assert!(rounds.bed.vault.bot("eve").unwrap().revoked, "{what}");
                assert!(rounds.bed.rows().len() as u64 > anchored, "{what}");
                rounds.bed.vault.audit_verify().unwrap();
                rounds.bed.lock();
            }
            Err(error) => {
                refused += 1;
                let expected =
                    if *what == "another vault's" { "vault.manifest_mismatch" } else { "vault.rollback_detected" };
                assert_eq!(code(&error), expected, "{what}: {error}");
                rounds.nothing_changed_since(&before, &error, what);
            }
        }
        rounds.put_back();
    }
    assert!(refused > 50 && opened > 3, "{refused} refused, {opened} opened");
    rounds.opens();
}

/// A log is read in front of the database, whoever put it there.
#[test]
fn t12_an_older_log_beside_a_newer_database_is_refused_and_not_folded_in() {
    let (bed, bob, _) = Bed::in_memory().furnish();
    let bed = bed.reopened();
    bed.vault.set_mode(Mode::CancelOnly, None).unwrap();
    let older = std::fs::read(bed.crash_image().paths().state_dir.join("vault.db-wal")).unwrap();
    bed.vault.revoke_bot("eve").unwrap();
    bed.set_policy("trader", r#"grants = ["read"]"#);
    bed.lock();
    let rounds = Rounds::over(bed, bob);
    let frame = 24 + PAGE_BYTES;
    for length in (32 + frame..=older.len()).step_by(frame) {
        std::fs::write(log_of(&rounds), &older[..length]).unwrap();
        match rounds.bed.unlock() {
            // A log without an end of a transaction says nothing.
            Ok(_) => assert!(rounds.bed.vault.bot("eve").unwrap().revoked && length < older.len()),
            Err(_) => drop(rounds.refusal("an older log")),
        }
        rounds.bed.lock();
        rounds.put_back();
    }
    std::fs::write(log_of(&rounds), &older).unwrap();
    let codes = ["vault.rollback_detected", "vault.manifest_mismatch", "vault.storage_corrupt", "vault.audit_broken"];
    rounds.refuses("the whole of an older log", &codes);
    rounds.opens();
}

/// SQLite would play such a journal back into the database before anyone could look at it.
#[test]
fn t12_a_rollback_journal_beside_the_database_is_not_played_back() {
    let (bed, bob, _) = Bed::in_memory().furnish();
    bed.lock();
    let older = std::fs::read(bed.paths().database()).unwrap();
    let bed = bed.reopened();
    bed.vault.revoke_bot("bob").unwrap();
    bed.lock();
    let rounds = Rounds::over(bed, bob);
    let journal = rounds.bed.paths().state_dir.join("vault.db-journal");
    for content in [rollback_journal(&older), b"no journal".to_vec(), Vec::new()] {
        std::fs::write(&journal, content).unwrap();
        rounds.refuses("a journal", &["vault.storage_corrupt"]);
    }
    rounds.bed.unlock().unwrap();
    assert!(rounds.bed.let_in(&rounds.bob).is_err());
}

/// A journal that leads back to these pages: see <https://www.sqlite.org/fileformat2.html#the_rollback_journal>.
fn rollback_journal(database: &[u8]) -> Vec<u8> {
    let pages = (database.len() / PAGE_BYTES) as u32;
    let nonce = 7_u32;
    let mut journal = vec![0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
    for number in [pages, nonce, pages, 512, PAGE_BYTES as u32] {
        journal.extend(number.to_be_bytes());
    }
    journal.resize(512, 0);
    for (at, page) in database.chunks(PAGE_BYTES).enumerate() {
        let sampled = (1..).map(|step| PAGE_BYTES as isize - 200 * step).take_while(|at| *at > 0);
        let checksum = sampled.fold(nonce, |sum, at| sum.wrapping_add(u32::from(page[at as usize])));
        journal.extend((at as u32 + 1).to_be_bytes());
        journal.extend(page);
        journal.extend(checksum.to_be_bytes());
    }
    journal
}

#[test]
fn t13_any_change_of_the_schema_is_refused() {
    let rounds = Rounds::furnished();
    let edited = |change: &str| format!("PRAGMA writable_schema = ON; {change}");
    let edits = [
        "UPDATE sqlite_schema SET sql = replace(sql, ' STRICT', '') WHERE name = 'slot'",
        "UPDATE sqlite_schema SET sql = replace(sql, 'CHECK (one = 1)', '') WHERE name = 'state'",
        "UPDATE sqlite_schema SET sql = sql || ' ' WHERE name = 'bot'",
        "UPDATE sqlite_schema SET sql = replace(sql, 'body TEXT', 'body TEXT DEFAULT ''''') WHERE name = 'audit'",
        "DELETE FROM sqlite_schema WHERE name = 'setting'",
        "INSERT INTO sqlite_schema VALUES ('trigger', 't', 'bot', 0, 'CREATE TRIGGER t AFTER INSERT ON bot BEGIN SELECT 1; END')",
    ]
    .map(edited);
    let plain = [
        "CREATE TRIGGER planted AFTER INSERT ON audit BEGIN DELETE FROM audit; END",
        "CREATE TRIGGER planted BEFORE UPDATE ON state BEGIN SELECT raise(IGNORE); END",
        "CREATE VIEW planted AS SELECT * FROM slot",
        "CREATE TABLE planted (x)",
        "CREATE INDEX planted ON audit (body)",
        "CREATE VIRTUAL TABLE planted USING fts5 (x)",
        "DROP TABLE setting",
        "ALTER TABLE setting RENAME TO settings",
        "ALTER TABLE setting ADD COLUMN planted TEXT",
        "ALTER TABLE slot RENAME COLUMN wrapped TO warped",
        "PRAGMA user_version = 9999",
        "PRAGMA user_version = 0",
        "PRAGMA user_version = -1",
        "PRAGMA application_id = 7",
    ];
    for sql in plain.iter().copied().chain(edits.iter().map(String::as_str)) {
        operate(&rounds.bed.paths(), sql);
        rounds.refuses(sql, &["vault.schema_mismatch"]);
    }
    rounds.opens();
}
