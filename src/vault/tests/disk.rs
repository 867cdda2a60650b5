//! A disk that refuses: nothing is released, memory and disk say the same, and it heals without a restart.

use super::bed::*;
use crate::vault::AdminError;
use crate::vault::authenticate::NotLetIn;
use crate::vault::sign::Refusal;
use crate::wire::CredentialEdit;
use crate::wire::policy::PolicySet;

impl Bed {
    fn refuse_next_write(&self) {
        self.vault.ledger().unwrap().refuse_next_write();
    }
}

#[test]
fn no_signature_without_a_row_and_the_next_one_has_the_next_number() {
    let (bed, bob, _) = Bed::furnished();
    let before = bed.sign(&bob, "main").unwrap().audit_seq;
    for _ in 0..3 {
        bed.refuse_next_write();
        assert_eq!(bed.sign(&bob, "main").unwrap_err(), Refusal::Unavailable);
        assert!(bed.vault.position().unwrap().ledger_trouble.is_some());
    }
    assert_eq!(bed.sign(&bob, "main").unwrap().audit_seq, before + 1);
    assert!(bed.vault.position().unwrap().ledger_trouble.is_none());
    bed.vault.audit_verify().unwrap();
    bed.reopened();
}

#[test]
fn a_denial_that_could_not_be_written_is_unavailable_too() {
    let (bed, bob, _) = Bed::furnished();
    bed.refuse_next_write();
    assert_eq!(bed.sign(&bob, "spare").unwrap_err(), Refusal::Unavailable);
}

#[test]
fn a_refused_change_holds_neither_in_memory_nor_on_the_disk() {
    let (bed, ..) = Bed::furnished();
    let shown = |bed: &Bed| {
        let vault = &bed.vault;
        let shown = (vault.credentials().unwrap(), vault.bots().unwrap(), vault.policies().unwrap());
        serde_json::to_string(&shown).unwrap()
    };
    let before = shown(&bed);
    let vault = &bed.vault;
    let label = || CredentialEdit { label: Some("other".to_owned()), ..CredentialEdit::default() };
    let grants = || PolicySet { text: r#"grants = ["read", "withdraw"]"#.to_owned() };
    let changes: [(&str, &dyn Fn() -> Option<AdminError>); 9] = [
        ("credential add", &|| vault.add_credential(credential("new", "new")).err()),
        ("credential edit", &|| vault.edit_credential("main", label()).err()),
        ("credential rotate", &|| vault.rotate_credential("main", secrets("two")).err()),
        ("credential remove", &|| vault.remove_credential("main").err()),
        ("bot add", &|| vault.add_bot(bot("new", "main", None)).err()),
        ("bot rotate", &|| vault.rotate_bot("bob").err()),
        ("policy set", &|| vault.set_policy("trader", grants()).err()),
        ("policy add", &|| vault.set_policy("new", grants()).err()),
        ("backup", &|| vault.backup(&mut |_| panic!("nothing is sent")).err()),
    ];
    for (name, change) in changes {
        bed.refuse_next_write();
        assert!(matches!(change(), Some(AdminError::Unavailable)), "{name}");
        assert_eq!(shown(&bed), before, "{name}");
    }
    assert_eq!(shown(&bed.reopened()), before, "after a restart");
}

#[test]
fn a_credential_whose_removal_the_disk_refused_signs_on() {
    let (bed, bob, _) = Bed::furnished();
    bed.refuse_next_write();
    assert!(matches!(bed.vault.remove_credential("main"), Err(AdminError::Unavailable)));
    bed.sign(&bob, "main").unwrap();
    bed.vault.remove_credential("main").unwrap();
    assert!(matches!(bed.sign(&bob, "main"), Err(Refusal::Denied { .. })));
}

#[test]
fn a_revoke_that_the_disk_refused_holds_at_once_and_survives_once_there_is_a_disk() {
    for end in ["a signature", "the next tick", "a lock"] {
        let (bed, bob, eve) = Bed::furnished();
        bed.refuse_next_write();
        assert!(matches!(bed.vault.revoke_bot("bob"), Err(AdminError::AppliedInMemory)));
        assert_eq!(bed.let_in(&bob), Err(NotLetIn::Failed));
        match end {
            "a signature" => drop(bed.sign(&eve, "spare").unwrap()),
            "the next tick" => bed.vault.tend().unwrap(),
            _ => bed.lock(),
        }
        let bed = bed.reopened();
        assert!(bed.vault.bot("bob").unwrap().revoked, "{end}");
        assert_eq!(bed.let_in(&bob), Err(NotLetIn::Failed), "{end}");
        assert!(bed.rows().iter().any(|row| row.body.contains("revoke")), "{end}");
    }
}

#[test]
fn a_removed_bot_whose_row_was_refused_does_not_come_back_with_a_restart() {
    let (bed, bob, eve) = Bed::furnished();
    bed.refuse_next_write();
    assert!(matches!(bed.vault.remove_bot("bob"), Err(AdminError::AppliedInMemory)));
    bed.sign(&eve, "spare").unwrap();
    let bed = bed.reopened();
    assert_eq!(bed.let_in(&bob), Err(NotLetIn::Failed));
    assert!(matches!(bed.vault.bot("bob"), Err(AdminError::NotFound(_))));
}

#[test]
fn a_lock_whose_row_was_refused_locks_all_the_same() {
    let (bed, bob, _) = Bed::furnished();
    bed.refuse_next_write();
    let told = bed.vault.lock(crate::vault::lock::Why::Asked);
    assert!(matches!(told, Err(AdminError::AppliedInMemory)));
    assert!(!bed.vault.is_unlocked());
    bed.unlock().unwrap();
    bed.sign(&bob, "main").unwrap();
}
