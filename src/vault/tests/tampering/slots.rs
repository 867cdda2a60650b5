//! Slots: what opens the vault key, bit by bit.

use super::*;
use crate::crypto::slot::{HEADER_BYTES, WRAPPED_BYTES};
use crate::store::surgery::cells::{Cell, cells};

/// The slot that the bed's first key opens.
fn first_slot(rounds: &Rounds) -> [Cell; 3] {
    let cells = cells(&rounds.bed.paths());
    let of = |column| cells.iter().find(|cell| (cell.table, cell.column, cell.number()) == ("slot", column, 1));
    ["header", "commitment", "wrapped"].map(|column| of(column).unwrap().clone())
}

#[test]
fn t01_every_bit_of_a_slot_gives_one_of_two_answers() {
    let rounds = Rounds::furnished();
    let slot = first_slot(&rounds);
    assert_eq!(slot.each_ref().map(|cell| cell.bytes().len()), [HEADER_BYTES, 32, WRAPPED_BYTES]);
    let mut answers = BTreeMap::new();
    for cell in &slot {
        let whole = cell.bytes();
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            cell.write(&rounds.bed.paths(), &flipped);
            let refused = rounds.refusal(&format!("bit {bit} of the {}", cell.column));
            *answers.entry((code(&refused), refused.to_string())).or_insert(0) += 1;
            rounds.put_back();
        }
    }
    let codes: Vec<&str> = answers.keys().map(|(code, _)| *code).collect();
    assert_eq!(codes, ["unlock.failed", "vault.kdf_out_of_bounds"], "never a third text");
    assert_eq!(answers.values().sum::<u32>(), 1304);
    rounds.opens();
}

#[test]
fn t18_slots_of_one_vault_do_not_open_another() {
    let (mine, theirs) = (Rounds::furnished(), Rounds::furnished());
    let [header, commitment, wrapped] = first_slot(&mine);
    let [their_header, their_commitment, their_wrapped] = first_slot(&theirs).map(|cell| cell.bytes());
    let paths = mine.bed.paths();
    header.write(&paths, &their_header);
    mine.refuses("another vault's header", &["unlock.failed"]);
    header.write(&paths, &their_header);
    commitment.write(&paths, &their_commitment);
    mine.refuses("another vault's header and commitment", &["unlock.failed"]);
    // Their whole slot opens with the same key file, and gives their vault key.
    header.write(&paths, &their_header);
    commitment.write(&paths, &their_commitment);
    wrapped.write(&paths, &their_wrapped);
    mine.refuses("another vault's slot", &["vault.manifest_mismatch"]);
    std::fs::copy(theirs.database(), mine.database()).unwrap();
    mine.refuses("another vault's database", &["vault.rollback_detected"]);
    std::fs::copy(theirs.anchor(), mine.anchor()).unwrap();
    mine.refuses("another vault's anchor", &["vault.rollback_detected"]);
    mine.opens();
}
