use super::*;

use crate::crypto::known_answers::{KnownAnswers, KnownSlot, MultiKey, hex};

const SECRET: [u8; 32] = [0x11; 32];
const VAULT_KEY: [u8; 32] = [0x22; 32];

fn key_file_header() -> SlotHeader {
    SlotHeader {
        vault_id: Id([3; 16]),
        method: SlotMethod::KeyFile,
        salt: [4; 32],
        slot_id: 2,
        created_s: 1_763_690_400,
    }
}

fn key_file_slot() -> Slot {
    Slot::wrap(key_file_header(), &SECRET, &VAULT_KEY).unwrap()
}

fn known_slot(known: &KnownSlot) -> Slot {
    Slot::parse(&hex(&known.header), &hex(&known.commitment), &hex(&known.wrapped)).unwrap()
}

/// Parses and unwraps, as an unlock does.
fn unlock(header: &[u8], commitment: &[u8], wrapped: &[u8], secret: &[u8]) -> Result<VaultKey, SlotError> {
    Slot::parse(header, commitment, wrapped)?.unwrap_key(secret)
}

#[test]
fn the_known_slots_open_and_are_made_again_byte_for_byte() {
    let known = KnownAnswers::load();
    assert_eq!(known.slots.len(), 2);
    for expected in &known.slots {
        let slot = known_slot(expected);
        let secret = hex(&expected.secret);
        assert_eq!(slot.unwrap_key(&secret).unwrap().expose(), &known.vault_key(), "{}", expected.name);
        assert_eq!(Slot::wrap(slot.header.clone(), &secret, &known.vault_key()).unwrap(), slot, "{}", expected.name);
    }
}

#[test]
fn a_header_is_read_field_by_field() {
    let header = known_slot(KnownAnswers::load().slot("password")).header;
    assert_eq!(header.vault_id, KnownAnswers::load().vault_id());
    assert_eq!(header.method, SlotMethod::Password(Argon2Params::parse(65_536, 3, 4).unwrap()));
    assert_eq!(header.method.kind(), SlotKind::Password);
    assert_eq!(header.salt[..3], [0, 1, 2]);
    assert_eq!((header.slot_id, header.created_s), (1, 1_763_690_400));
}

#[test]
fn every_method_reads_back() {
    for method in [SlotMethod::Password(Argon2Params::default()), SlotMethod::KeyFile, SlotMethod::Recovery] {
        let header = SlotHeader { method, ..key_file_header() };
        assert_eq!(SlotHeader::parse(&header.to_bytes()), Ok(header));
    }
}

/// The header with other bytes at a place.
fn with(at: usize, bytes: &[u8]) -> [u8; HEADER_BYTES] {
    let mut header = key_file_header().to_bytes();
    header[at..at + bytes.len()].copy_from_slice(bytes);
    header
}

#[test]
fn t15_a_header_that_version_1_would_not_write_is_out_of_bounds() {
    let cost = |memory_kib: u32, passes: u32, lanes: u8| {
        [&[1, 1][..], &memory_kib.to_be_bytes(), &passes.to_be_bytes(), &[lanes]].concat()
    };
    assert!(SlotHeader::parse(&with(26, &cost(65_536, 3, 1))).is_ok());
    let refused = [
        with(0, b"sgnvault"),
        with(8, &[0, 2]),
        with(8, &[0, 0]),
        with(26, &[0, 2]),
        with(26, &[4, 2]),
        with(26, &[2, 1]),
        with(26, &[1, 2]),
        with(26, &[3, 3]),
        with(26, &cost(8, 1, 1)),
        with(26, &cost(65_535, 3, 4)),
        with(26, &cost(u32::MAX, 1 << 31, 255)),
        with(26, &cost(65_536, 2, 4)),
        with(26, &cost(65_536, 3, 0)),
        with(31, &[1]),
        with(36, &[1]),
        with(69, &[0, 1]),
        with(69, &[0x80, 0]),
    ];
    for header in refused {
        assert_eq!(SlotHeader::parse(&header), Err(SlotError::OutOfBounds), "{header:?}");
    }
}

#[test]
fn a_slot_of_another_length_is_out_of_bounds() {
    let header = key_file_header().to_bytes();
    let long_header = [&header[..], &[0]].concat();
    let cases: [(&[u8], usize, usize); 7] = [
        (&[], 32, 48),
        (&header[..82], 32, 48),
        (&long_header, 32, 48),
        (&header, 31, 48),
        (&header, 33, 48),
        (&header, 32, 47),
        (&header, 32, 80),
    ];
    for (header, commitment, wrapped) in cases {
        let slot = Slot::parse(header, &vec![0; commitment], &vec![0; wrapped]);
        assert_eq!(slot, Err(SlotError::OutOfBounds));
    }
}

#[test]
fn a_wrong_secret_is_refused() {
    let mut other = SECRET;
    other[31] ^= 1;
    assert_eq!(key_file_slot().unwrap_key(&other).unwrap_err(), SlotError::Refused);
}

#[test]
fn a_wrong_password_is_refused_like_anything_else() {
    let known = KnownAnswers::load();
    let slot = known_slot(known.slot("password"));
    assert_eq!(slot.unwrap_key(b"correct horse battery\0").unwrap_err(), SlotError::Refused);
}

#[test]
fn a_key_that_is_not_32_bytes_neither_wraps_nor_unwraps() {
    for secret in [&b"short"[..], &[0x11; 31], &[0x11; 33], b""] {
        assert_eq!(Slot::wrap(key_file_header(), secret, &VAULT_KEY), Err(SlotError::Refused));
        assert_eq!(key_file_slot().unwrap_key(secret).unwrap_err(), SlotError::Refused);
    }
}

#[test]
fn t17_a_slot_with_the_commitment_of_another_is_refused_though_its_ciphertext_would_open() {
    let slot = key_file_slot();
    let other = Slot::wrap(SlotHeader { salt: [5; 32], ..key_file_header() }, &SECRET, &VAULT_KEY).unwrap();
    assert!(slot.unwrap_key(&SECRET).is_ok());
    let swapped = Slot { commitment: other.commitment, ..slot };
    assert_eq!(swapped.unwrap_key(&SECRET).unwrap_err(), SlotError::Refused);
}

#[test]
fn t17_ciphertexts_that_open_under_many_keys_are_refused_as_wrapped_keys() {
    let [two, four] = MultiKey::load_both();
    let Slot { header, commitment, .. } = key_file_slot();
    for secret in two.keys.iter().chain([&data_encoding::HEXLOWER.encode(&SECRET)]) {
        let result = unlock(&header.to_bytes(), &commitment, &hex(&two.ct_tag), &hex(secret));
        assert_eq!(result.unwrap_err(), SlotError::Refused);
    }
    let result = unlock(&header.to_bytes(), &commitment, &hex(&four.ct_tag), &SECRET);
    assert_eq!(result.unwrap_err(), SlotError::OutOfBounds);
}

#[test]
fn t01_no_bit_of_a_slot_can_be_flipped() {
    let slot = key_file_slot();
    let header = slot.header.to_bytes();
    let whole = [&header[..], &slot.commitment, &slot.wrapped].concat();
    let unlock_whole = |bytes: &[u8]| unlock(&bytes[..83], &bytes[83..115], &bytes[115..], &SECRET);
    assert!(unlock_whole(&whole).is_ok());
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let error = unlock_whole(&flipped).unwrap_err();
        assert!(matches!(error, SlotError::OutOfBounds | SlotError::Refused), "bit {bit}");
    }
}

/// A password's slot. Its hash is paid for once: the wrapping key is derived from the header besides, so the slot does
/// not open even with the very key that the password gives under the header as it was.
#[test]
fn t01_no_bit_of_a_password_s_slot_can_be_flipped() {
    let known = KnownAnswers::load();
    let known = known.slot("password");
    let kek = hex(&known.kek);
    let open = |header: &[u8], commitment: &[u8], wrapped: &[u8]| {
        let slot = Slot::parse(header, commitment, wrapped).ok()?;
        let info = mac::enc(&[b"signvault/1/wrap", header]);
        let envelope = Envelope::derive(&kek, slot.header.vault_id.as_bytes(), &info);
        Some(envelope.open(&slot.commitment, &slot.wrapped, header).is_ok())
    };
    let whole = [hex(&known.header), hex(&known.commitment), hex(&known.wrapped)].concat();
    let open_whole = |bytes: &[u8]| open(&bytes[..83], &bytes[83..115], &bytes[115..]);
    assert_eq!(open_whole(&whole), Some(true));
    let (mut refused, mut out_of_bounds) = (0, 0);
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        match open_whole(&flipped) {
            None => out_of_bounds += 1,
            Some(opened) => {
                assert!(!opened, "bit {bit}");
                refused += 1;
            }
        }
    }
    assert_eq!(refused + out_of_bounds, 1304);
    // Magic, version, kind, KDF and flags; of the cost only some bits leave its bounds.
    assert!(out_of_bounds > 64 + 16 + 16 + 16, "{out_of_bounds}");
}

/// With the hash as it is paid for: one bit of every field that the bounds leave free.
#[test]
fn t01_every_field_of_a_password_s_header_goes_into_its_hash() {
    let known = KnownAnswers::load();
    let known = known.slot("password");
    let (header, secret) = (hex(&known.header), hex(&known.secret));
    let fields = [("vault id", 12), ("memory", 31), ("passes", 35), ("salt", 40), ("slot id", 74), ("created", 82)];
    for (field, at) in fields {
        let mut flipped = header.clone();
        flipped[at] ^= 4;
        let result = unlock(&flipped, &hex(&known.commitment), &hex(&known.wrapped), &secret);
        assert_eq!(result.unwrap_err(), SlotError::Refused, "{field}");
    }
}

#[test]
fn a_slot_of_one_kind_does_not_open_as_another() {
    let slot = key_file_slot();
    let recovery = SlotHeader { method: SlotMethod::Recovery, ..slot.header.clone() };
    assert_eq!(Slot { header: recovery, ..slot }.unwrap_key(&SECRET).unwrap_err(), SlotError::Refused);
}
