//! The vault against a plain model of it: whatever is done in whatever order, with restarts and failing disks in
//! between, both say the same.

use super::bed::*;
use crate::secret::SecretText;
use crate::vault::sign::Refusal;
use crate::vault::{AdminError, Vault};
use crate::wire::policy::PolicySet;
use crate::wire::{BotToken, CredentialEdit};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// What may be done. There are three names of each kind, so that they meet.
#[derive(Clone, Copy, Debug)]
enum Step {
    AddCredential(u8, u8),
    RenameCredential(u8, u8),
    RotateCredential(u8, u8),
    RemoveCredential(u8),
    AddBot(u8, u8, Option<u8>),
    RotateBot(u8),
    RevokeBot(u8),
    RemoveBot(u8),
    SetPolicy(u8, bool),
    RemovePolicy(u8),
    /// The disk refuses the next write, and a credential is to be added.
    RefusedAdd,
    /// The disk refuses the next write, and a bot is to be revoked.
    RefusedRevoke(u8),
    Lock,
    Unlock,
    /// The process ends without a lock and another begins.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let name = || 0..3_u8;
    let step = prop_oneof![
        4 => (name(), any::<u8>()).prop_map(|(name, mark)| Step::AddCredential(name, mark)),
        1 => (name(), name()).prop_map(|(old, new)| Step::RenameCredential(old, new)),
        2 => (name(), any::<u8>()).prop_map(|(name, mark)| Step::RotateCredential(name, mark)),
        1 => name().prop_map(Step::RemoveCredential),
        5 => (name(), name(), prop::option::of(name())).prop_map(|(bot, of, under)| Step::AddBot(bot, of, under)),
        2 => name().prop_map(Step::RotateBot),
        2 => name().prop_map(Step::RevokeBot),
        1 => name().prop_map(Step::RemoveBot),
        3 => (name(), any::<bool>()).prop_map(|(name, reads)| Step::SetPolicy(name, reads)),
        1 => name().prop_map(Step::RemovePolicy),
        1 => Just(Step::RefusedAdd),
        1 => name().prop_map(Step::RefusedRevoke),
        1 => Just(Step::Lock),
        3 => Just(Step::Unlock),
        2 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..40)
}

/// What an admin is told, as far as the model tells refusals apart.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    Done,
    Locked,
    NotFound,
    Exists,
    Invalid,
}

/// The vault as anyone would write it down. Credentials and policies have numbers that are never used again, so that a
/// new one of an old name is another.
#[derive(Debug, Default)]
struct Model {
    unlocked: bool,
    numbers: u32,
    /// Number and mark by name.
    credentials: BTreeMap<u8, (u32, u8)>,
    /// Number and whether it grants reading, by name.
    policies: BTreeMap<u8, (u32, bool)>,
    bots: BTreeMap<u8, ModelBot>,
}

#[derive(Debug)]
struct ModelBot {
    credential: u32,
    policy: Option<u32>,
    revoked: bool,
}

impl Model {
    fn number(&mut self) -> u32 {
        self.numbers += 1;
        self.numbers
    }

    fn take(&mut self, step: Step) -> Told {
        match step {
            Step::Lock | Step::Restart => self.unlocked = false,
            Step::Unlock => self.unlocked = true,
            _ if !self.unlocked => return Told::Locked,
            step => return self.change(step).err().unwrap_or(Told::Done),
        }
        Told::Done
    }

    fn change(&mut self, step: Step) -> Result<(), Told> {
        match step {
            Step::AddCredential(name, mark) => {
                let number = self.number();
                vacant(&self.credentials, name)?;
                self.credentials.insert(name, (number, mark));
            }
            Step::RenameCredential(old, new) => {
                known(&mut self.credentials, old)?;
                if old != new {
                    vacant(&self.credentials, new)?;
                }
                let credential = self.credentials.remove(&old).unwrap();
                self.credentials.insert(new, credential);
            }
            Step::RotateCredential(name, mark) => known(&mut self.credentials, name)?.1 = mark,
            Step::RemoveCredential(name) => self.credentials.remove(&name).map(|_| ()).ok_or(Told::NotFound)?,
            Step::AddBot(name, of, under) => {
                vacant(&self.bots, name)?;
                let credential = known(&mut self.credentials, of)?.0;
                let policy = under.map(|under| known(&mut self.policies, under).map(|policy| policy.0)).transpose()?;
                self.bots.insert(name, ModelBot { credential, policy, revoked: false });
            }
            Step::RotateBot(name) => known(&mut self.bots, name)?.revoked = false,
            Step::RevokeBot(name) | Step::RefusedRevoke(name) => known(&mut self.bots, name)?.revoked = true,
            Step::RemoveBot(name) => self.bots.remove(&name).map(|_| ()).ok_or(Told::NotFound)?,
            Step::SetPolicy(name, reads) => {
                let number = self.number();
                self.policies.entry(name).or_insert((number, reads)).1 = reads;
            }
            Step::RemovePolicy(name) => {
                let number = known(&mut self.policies, name)?.0;
                if self.bots.values().any(|bot| bot.policy == Some(number)) {
                    return Err(Told::Invalid);
                }
                self.policies.remove(&name);
            }
            Step::RefusedAdd | Step::Lock | Step::Unlock | Step::Restart => (),
        }
        Ok(())
    }

    /// The name and the mark of the credential that a bot signs with, when it may sign.
    fn signs(&self, bot: &ModelBot) -> Option<(u8, u8)> {
        let policy = bot.policy.and_then(|number| self.policies.values().find(|(other, _)| *other == number));
        let reads = policy.is_none_or(|(_, reads)| *reads);
        let mut credentials = self.credentials.iter().filter(|(_, (number, _))| *number == bot.credential && reads);
        credentials.next().map(|(name, (_, mark))| (*name, *mark))
    }
}

fn vacant<T>(among: &BTreeMap<u8, T>, name: u8) -> Result<(), Told> {
    if among.contains_key(&name) { Err(Told::Exists) } else { Ok(()) }
}

fn known<T>(among: &mut BTreeMap<u8, T>, name: u8) -> Result<&mut T, Told> {
    among.get_mut(&name).ok_or(Told::NotFound)
}

/// The real one, and every token that it ever gave out: of each bot the last one, and those that must not work.
struct Real {
    bed: Bed,
    tokens: BTreeMap<u8, SecretText>,
    dead: Vec<SecretText>,
}

impl Real {
    fn take(mut self, step: Step, is_unlocked: bool) -> (Real, Told) {
        match step {
            Step::Lock => self.bed.lock(),
            Step::Unlock => drop(self.bed.unlock().unwrap()),
            Step::Restart => self.bed = self.bed.restarted(),
            Step::RefusedAdd | Step::RefusedRevoke(_) if is_unlocked => return self.refused(step),
            step => {
                let told = self.change(step).err().map_or(Told::Done, told);
                return (self, told);
            }
        }
        (self, Told::Done)
    }

    fn change(&mut self, step: Step) -> Result<(), AdminError> {
        let vault = &self.bed.vault;
        match step {
            Step::AddCredential(name, mark) => {
                vault.add_credential(credential(&of("credential", name), &mark.to_string())).map(drop)
            }
            Step::RenameCredential(old, new) => {
                let edit = CredentialEdit { name: Some(of("credential", new)), ..CredentialEdit::default() };
                vault.edit_credential(&of("credential", old), edit).map(drop)
            }
            Step::RotateCredential(name, mark) => {
                vault.rotate_credential(&of("credential", name), secrets(&mark.to_string())).map(drop)
            }
            Step::RemoveCredential(name) => vault.remove_credential(&of("credential", name)).map(drop),
            Step::AddBot(name, credential, policy) => {
                let policy = policy.map(|policy| of("policy", policy));
                let add = bot(&of("bot", name), &of("credential", credential), policy.as_deref());
                let given = vault.add_bot(add)?;
                self.given(name, given)
            }
            Step::RotateBot(name) => {
                let given = vault.rotate_bot(&of("bot", name))?;
                self.given(name, given)
            }
            Step::RevokeBot(name) | Step::RefusedRevoke(name) => vault.revoke_bot(&of("bot", name)).map(drop),
            Step::RemoveBot(name) => {
                vault.remove_bot(&of("bot", name))?;
                self.dead.extend(self.tokens.remove(&name));
                Ok(())
            }
            Step::SetPolicy(name, reads) => {
                let text = if reads { r#"grants = ["read"]"# } else { r#"grants = ["trade"]"# };
                vault.set_policy(&of("policy", name), PolicySet { text: text.to_owned() }).map(drop)
            }
            Step::RemovePolicy(name) => vault.remove_policy(&of("policy", name)),
            Step::RefusedAdd | Step::Lock | Step::Unlock | Step::Restart => Err(AdminError::Locked),
        }
    }

    fn given(&mut self, name: u8, given: BotToken) -> Result<(), AdminError> {
        self.dead.extend(self.tokens.insert(name, given.token));
        Ok(())
    }

    fn refused(self, step: Step) -> (Real, Told) {
        let vault = &self.bed.vault;
        let refuse = |vault: &Vault| vault.ledger().unwrap().refuse_next_write();
        let told = match step {
            Step::RefusedRevoke(name) if vault.bot(&of("bot", name)).is_ok() => {
                refuse(vault);
                assert!(matches!(vault.revoke_bot(&of("bot", name)), Err(AdminError::AppliedInMemory)));
                // What is owed is lost when the process ends before the disk is back: that much was said.
                vault.tend().unwrap();
                Told::Done
            }
            Step::RefusedRevoke(_) => Told::NotFound,
            _ => {
                refuse(vault);
                assert!(matches!(vault.add_credential(credential("lost", "lost")), Err(AdminError::Unavailable)));
                Told::Done
            }
        };
        (self, told)
    }

    /// Everything that can be seen or signed is as the model says.
    fn agrees_with(&self, model: &Model) {
        let vault = &self.bed.vault;
        assert_eq!(vault.is_unlocked(), model.unlocked);
        for token in &self.dead {
            assert!(self.bed.let_in(token).is_err());
        }
        if !model.unlocked {
            assert!(self.tokens.values().all(|token| self.bed.let_in(token).is_err()));
            return;
        }
        let names = |what, among: Vec<u8>| among.into_iter().map(|name| of(what, name)).collect::<Vec<_>>();
        let credentials: Vec<String> = vault.credentials().unwrap().into_iter().map(|card| card.name).collect();
        assert_eq!(credentials, names("credential", model.credentials.keys().copied().collect()));
        let policies: Vec<String> = vault.policies().unwrap().into_iter().map(|card| card.name).collect();
        assert_eq!(policies, names("policy", model.policies.keys().copied().collect()));
        let bots: Vec<(String, bool)> =
            vault.bots().unwrap().into_iter().map(|card| (card.name, card.revoked)).collect();
        let expected: Vec<(String, bool)> =
            model.bots.iter().map(|(name, bot)| (of("bot", *name), bot.revoked)).collect();
        assert_eq!(bots, expected);
        for (name, bot) in &model.bots {
            self.signs_like(&self.tokens[name], bot, model);
        }
    }

    fn signs_like(&self, token: &SecretText, bot: &ModelBot, model: &Model) {
        match (bot.revoked, model.signs(bot)) {
            (true, _) => assert_eq!(self.bed.sign(token, "credential0").unwrap_err(), Refusal::NotLetIn),
            (false, Some((credential, mark))) => {
                let signed = self.bed.sign(token, &of("credential", credential)).unwrap();
                assert_eq!(header(&signed, "OK-ACCESS-KEY"), format!("key-{mark}"));
                assert_eq!(header(&signed, "OK-ACCESS-PASSPHRASE"), format!("pass-{mark}"));
            }
            (false, None) => {
                for credential in 0..3 {
                    let answer = self.bed.sign(token, &of("credential", credential));
                    assert!(matches!(answer, Err(Refusal::Denied { .. })), "{answer:?}");
                }
            }
        }
    }
}

fn of(what: &str, name: u8) -> String {
    format!("{what}{name}")
}

fn told(error: AdminError) -> Told {
    match error {
        AdminError::Locked => Told::Locked,
        AdminError::NotFound(_) => Told::NotFound,
        AdminError::Exists(_) => Told::Exists,
        AdminError::Invalid { .. } => Told::Invalid,
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_vault_and_its_model_agree_after_every_step(steps in steps()) {
        let mut real = Real { bed: Bed::empty(), tokens: BTreeMap::new(), dead: Vec::new() };
        let mut model = Model { unlocked: true, ..Model::default() };
        for step in steps {
            let (next, told) = real.take(step, model.unlocked);
            real = next;
            prop_assert_eq!(told, model.take(step), "{:?}", step);
            real.agrees_with(&model);
        }
        if model.unlocked {
            real.bed.vault.audit_verify().unwrap();
        }
    }
}
