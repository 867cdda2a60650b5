//! Tokens, and what a revocation meets while another change waits for the disk.

use super::bed::*;
use crate::types::clock::UnixMs;
use crate::types::decision::Code;
use crate::vault::authenticate::{NotLetIn, authenticate};
use crate::vault::sign::Refusal;
use crate::vault::{AdminError, Vault};
use crate::wire::BotAdd;
use std::thread;

/// Runs `first` until it waits for a disk that is busy, then `second` until it waits too; then the disk goes on.
fn one_behind_the_other<A: Send, B: Send>(
    vault: &Vault,
    first: impl FnOnce() -> A + Send,
    second: impl FnOnce() -> B + Send,
    meanwhile: impl FnOnce(),
) -> (A, B) {
    let ledger = vault.ledger().unwrap();
    let disk = ledger.stall();
    thread::scope(|scope| {
        let first = scope.spawn(first);
        wait_for(&ledger, 1);
        let second = scope.spawn(second);
        wait_for(&ledger, 2);
        meanwhile();
        drop(disk);
        (first.join().unwrap(), second.join().unwrap())
    })
}

#[test]
fn a_rotation_that_was_prepared_before_a_revoke_does_not_bring_the_bot_back() {
    let (bed, bob, _) = Bed::furnished();
    let id = bed.let_in(&bob).unwrap();
    let (rotated, revoked) = one_behind_the_other(
        &bed.vault,
        || bed.vault.rotate_bot("bob").unwrap().token,
        || bed.vault.revoke_bot("bob").unwrap(),
        || assert_eq!(bed.let_in(&bob), Err(NotLetIn::Failed), "revoked before the disk knows"),
    );
    assert!(revoked.revoked);
    let check = |bed: &Bed, when: &str| {
        for token in [&bob, &rotated] {
            assert_eq!(bed.let_in(token), Err(NotLetIn::Failed), "{when}");
        }
        assert_eq!(bed.sign_as(id, "main").unwrap_err(), Refusal::NotLetIn, "{when}");
        assert!(bed.vault.bot("bob").unwrap().revoked, "{when}");
    };
    check(&bed, "at once");
    let bed = bed.reopened();
    check(&bed, "after a restart");
    let token = bed.vault.rotate_bot("bob").unwrap().token;
    bed.sign(&token, "main").unwrap();
}

#[test]
fn a_rotation_that_was_prepared_before_a_removal_does_not_bring_the_bot_back() {
    let (bed, bob, _) = Bed::furnished();
    let (rotated, ()) = one_behind_the_other(
        &bed.vault,
        || bed.vault.rotate_bot("bob").unwrap().token,
        || bed.vault.remove_bot("bob").unwrap(),
        || (),
    );
    let check = |bed: &Bed, when: &str| {
        assert_eq!(bed.let_in(&bob), Err(NotLetIn::Failed), "{when}");
        assert_eq!(bed.let_in(&rotated), Err(NotLetIn::Failed), "{when}");
        assert!(matches!(bed.vault.bot("bob"), Err(AdminError::NotFound(_))), "{when}");
    };
    check(&bed, "at once");
    check(&bed.reopened(), "after a restart");
}

#[test]
fn a_signature_that_waits_for_the_disk_stands_before_the_revoke_and_none_after_it() {
    let (bed, bob, _) = Bed::furnished();
    let id = bed.let_in(&bob).unwrap();
    let (signed, _) =
        one_behind_the_other(&bed.vault, || bed.sign_as(id, "main"), || bed.vault.revoke_bot("bob").unwrap(), || ());
    let signed = signed.unwrap();
    let revoke = bed.rows().into_iter().find(|row| row.body.contains("revoke")).unwrap();
    assert!(signed.audit_seq < revoke.seq);
    assert_eq!(bed.sign_as(id, "main").unwrap_err(), Refusal::NotLetIn);
}

#[test]
fn a_credential_that_is_removed_while_the_disk_works_is_denied_and_no_fault() {
    let (bed, bob, _) = Bed::furnished();
    let id = bed.let_in(&bob).unwrap();
    let ledger = bed.vault.ledger().unwrap();
    let disk = ledger.stall();
    let answer = thread::scope(|scope| {
        let signing = scope.spawn(|| bed.sign_as(id, "main"));
        wait_for(&ledger, 1);
        let removing = scope.spawn(|| bed.vault.remove_credential("main").map(drop));
        wait_for(&ledger, 2);
        // Both rows become durable, and the removal is through before the signature is made.
        let readers = bed.clock.hold_readers();
        drop(disk);
        removing.join().unwrap().unwrap();
        drop(readers);
        signing.join().unwrap()
    });
    let Err(Refusal::Denied { denial, .. }) = answer else { panic!("{answer:?}") };
    assert_eq!(denial.code, Code::Credential);
}

#[test]
fn a_token_is_let_in_only_whole_in_time_and_by_the_right_user() {
    let bed = Bed::empty();
    bed.vault.add_credential(credential("main", "one")).unwrap();
    let add = |name: &str, uids: &[u32], expires_in_s| {
        let add = BotAdd { uids: uids.to_vec(), expires_in_s, ..bot(name, "main", None) };
        bed.vault.add_bot(add).unwrap().token
    };
    let (plain, bound, brief) =
        (add("plain", &[], None), add("bound", &[1000, 1001], None), add("brief", &[], Some(60)));
    let changed = plain.expose().replace("svb_", "svc_");
    let cases = [
        ("any transport", Some(plain.expose()), None, true),
        ("any user", Some(plain.expose()), Some(7), true),
        ("no token", None, None, false),
        ("an empty token", Some(""), None, false),
        ("another prefix", Some(&*changed), None, false),
        ("half a token", Some(&plain.expose()[..50]), None, false),
        ("a bound bot's user", Some(bound.expose()), Some(1001), true),
        ("another user", Some(bound.expose()), Some(1002), false),
        ("a bound bot on TCP", Some(bound.expose()), None, false),
        ("in time", Some(brief.expose()), None, true),
    ];
    for (case, token, uid, expected) in cases {
        assert_eq!(authenticate(&bed.vault, token, uid).is_ok(), expected, "{case}");
    }
    bed.clock.pass(60_000);
    assert_eq!(bed.let_in(&brief), Err(NotLetIn::Failed), "expired to the millisecond");
    assert!(bed.let_in(&plain).is_ok());
    bed.lock();
    assert_eq!(bed.let_in(&plain), Err(NotLetIn::Locked));
    assert_eq!(authenticate(&bed.vault, None, None), Err(NotLetIn::Locked));
}

#[test]
fn a_rotated_token_replaces_the_old_one_and_a_bots_own_facts_stay() {
    let (bed, bob, _) = Bed::furnished();
    let before = bed.vault.bot("bob").unwrap();
    bed.clock.pass(1000);
    let rotated = bed.vault.rotate_bot("bob").unwrap();
    assert_eq!(bed.let_in(&bob), Err(NotLetIn::Failed));
    assert_eq!(bed.let_in(&rotated.token).unwrap().bot.to_string(), before.id);
    let after = bed.vault.bot("bob").unwrap();
    assert_eq!((after.created, after.policy, after.credentials), (before.created, before.policy, before.credentials));
}

#[test]
fn a_bot_is_seen_when_it_comes_in() {
    let (bed, bob, _) = Bed::furnished();
    assert_eq!(bed.vault.bot("bob").unwrap().last_seen, None);
    bed.let_in(&bob).unwrap();
    assert_eq!(bed.vault.bot("bob").unwrap().last_seen, Some(UnixMs(1_700_000_000_000).to_string()));
}
