//! What opens a secret, and what does not.

use super::bed::*;
use crate::store::ledger::{Entry, Permit};
use crate::types::clock::UnixMs;
use crate::types::id::Id;
use crate::vault::keyring::DidNotOpen;
use crate::vault::sign::Refusal;
use crate::vault::state::State;

fn permit(bed: &Bed, credential: Id) -> Permit {
    let ledger = bed.vault.ledger().unwrap();
    let entry = Entry { body: "{}".to_owned(), opens: Some(credential) };
    let mut receipts = ledger.settle(ledger.enqueue(UnixMs(0), vec![entry], Vec::new())).unwrap();
    receipts.pop().unwrap().permit.unwrap()
}

#[test]
fn a_permit_opens_only_its_own_credential() {
    let (bed, ..) = Bed::furnished();
    let look = |name: &str| bed.vault.look(|unlocked| unlocked.credential_named(name).unwrap().0).unwrap();
    let (main, spare) = (look("main"), look("spare"));
    let open = |permit: Permit, id: Id, sealed_of: Id| {
        let State::Unlocked(unlocked) = &mut *bed.vault.state() else { panic!("locked") };
        let sealed = &mut unlocked.credentials.get_mut(&sealed_of).unwrap().sealed;
        let opened = unlocked.keyring.open(permit, id, sealed);
        opened.map(|secrets| secrets.parts().unwrap().api_key.to_owned())
    };
    for how in ["as it is stored", "as it is held since the first time"] {
        let [own, others, disguised] = [(); 3].map(|()| permit(&bed, main));
        assert_eq!(open(own, main, main), Ok("key-one".to_owned()), "{how}");
        assert_eq!(open(others, spare, spare), Err(DidNotOpen), "{how}");
        assert_eq!(open(disguised, main, spare), Err(DidNotOpen), "the seal names its own record, {how}");
        assert!(open(permit(&bed, spare), spare, spare).is_ok(), "{how}");
    }
}

#[test]
fn a_batch_gets_one_row_and_one_answer_each_in_its_order() {
    let (bed, bob, _) = Bed::furnished();
    let bob = bed.let_in(&bob).unwrap();
    let before = bed.rows().len() as u64;
    let asks = ["main", "spare", "main", "nobody's"].map(|credential| asked(bob, credential));
    let answers = crate::vault::sign::sign(&bed.vault, asks.into());
    let seqs = answers.iter().map(|answer| match answer {
        Ok(signed) => (true, signed.audit_seq),
        Err(Refusal::Denied { audit_seq, .. }) => (false, *audit_seq),
        Err(other) => panic!("{other:?}"),
    });
    let expected = [(true, before + 1), (false, before + 2), (true, before + 3), (false, before + 4)];
    assert_eq!(seqs.collect::<Vec<_>>(), expected);
}
