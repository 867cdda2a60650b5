//! The vault against a plain model of it: whatever is done in whatever order, with restarts and failing disks in
//! between, both say the same.

use super::bed::*;
use crate::secret::SecretText;
use crate::types::ask::{Ask, Method, Request, Wanted};
use crate::types::mode::Mode;
use crate::vault::authenticate::Caller;
use crate::vault::restore::{Accept as Accepted, restore};
use crate::vault::sign::{Asked, Refusal, sign};
use crate::vault::slot::SlotChangeError;
use crate::vault::state::Unlocked;
use crate::vault::unlock::Accept;
use crate::vault::{AdminError, Vault};
use crate::wire::policy::PolicySet;
use crate::wire::{BotToken, CredentialEdit, Quantity, SlotSecret};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// More than what a limit of a day remembers.
const DAY_MS: i64 = 86_400_000 + 86_400_000 / 1024 + 1;

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
    SetPolicy(u8, Kind),
    RemovePolicy(u8),
    /// Gives a policy a reference price.
    SetReference(u8, u8),
    /// Sets the mode of a bot, or of everyone.
    SetMode(Mode, Option<u8>),
    /// Places an order with the bot's credential.
    Order(u8),
    /// The same, and the disk refuses its row.
    RefusedOrder(u8),
    AddSlot(u8),
    RemoveSlot(u32),
    /// Unlocks, or tries to, with the key of a slot that may have been added.
    UnlockWith(u8),
    /// The disk refuses the next write, and a credential is to be added.
    RefusedAdd,
    /// The disk refuses the next write, a credential is to be added, and the process ends.
    RefusedAddAndCrash,
    /// A credential is added, and the commit that reached the disk seems to have failed.
    MisheardAdd(u8, u8),
    /// The same, and the process ends before anyone could take it back.
    MisheardAddAndCrash(u8, u8),
    /// The disk refuses the next write, and a bot is to be revoked.
    RefusedRevoke(u8),
    /// A backup is made, the vault is lost, and the backup restored.
    Restore,
    /// More than a day goes by.
    Day,
    Lock,
    Unlock,
    /// The process ends without a lock and another begins.
    Restart,
    /// The process is killed in the middle of nothing in particular.
    Crash,
}

/// What a policy allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Reads,
    Trades,
    /// Both, two orders a day.
    Counted,
}

impl Kind {
    fn text(self) -> &'static str {
        match self {
            Kind::Reads => r#"grants = ["read"]"#,
            Kind::Trades => r#"grants = ["trade"]"#,
            Kind::Counted => {
                "grants = [\"read\", \"trade\"]\n[order]\ninstruments = [\"BTC-USDT\"]\n[limits]\norders_per_day = 2\n"
            }
        }
    }
}

/// What every run begins with, so that orders are signed from the first step on.
const FURNISHED: [Step; 4] = [
    Step::AddCredential(0, 0),
    Step::SetPolicy(0, Kind::Counted),
    Step::AddBot(0, 0, Some(0)),
    Step::AddBot(1, 0, Some(0)),
];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let name = || 0..3_u8;
    // Counted policies and no brake, most of the time: or too few orders would be signed to spend a limit.
    let kind = || prop_oneof![1 => Just(Kind::Reads), 1 => Just(Kind::Trades), 3 => Just(Kind::Counted)];
    let mode = || prop_oneof![3 => Just(Mode::Normal), 1 => Just(Mode::ReduceOnly), 1 => Just(Mode::CancelOnly)];
    let step = prop_oneof![
        4 => (name(), any::<u8>()).prop_map(|(name, mark)| Step::AddCredential(name, mark)),
        1 => (name(), name()).prop_map(|(old, new)| Step::RenameCredential(old, new)),
        2 => (name(), any::<u8>()).prop_map(|(name, mark)| Step::RotateCredential(name, mark)),
        1 => name().prop_map(Step::RemoveCredential),
        5 => (name(), name(), prop::option::of(name())).prop_map(|(bot, of, under)| Step::AddBot(bot, of, under)),
        2 => name().prop_map(Step::RotateBot),
        2 => name().prop_map(Step::RevokeBot),
        1 => name().prop_map(Step::RemoveBot),
        4 => (name(), kind()).prop_map(|(name, kind)| Step::SetPolicy(name, kind)),
        1 => (name(), 1..9_u8).prop_map(|(name, price)| Step::SetReference(name, price)),
        2 => (mode(), prop::option::of(name())).prop_map(|(mode, bot)| Step::SetMode(mode, bot)),
        12 => (0..2_u8).prop_map(Step::Order),
        2 => (0..2_u8).prop_map(Step::RefusedOrder),
        2 => name().prop_map(Step::AddSlot),
        1 => (2..7_u32).prop_map(Step::RemoveSlot),
        2 => name().prop_map(Step::UnlockWith),
        1 => name().prop_map(Step::RemovePolicy),
        1 => Just(Step::RefusedAdd),
        1 => Just(Step::RefusedAddAndCrash),
        1 => (name(), any::<u8>()).prop_map(|(name, mark)| Step::MisheardAdd(name, mark)),
        1 => (name(), any::<u8>()).prop_map(|(name, mark)| Step::MisheardAddAndCrash(name, mark)),
        1 => name().prop_map(Step::RefusedRevoke),
        1 => Just(Step::Restore),
        1 => Just(Step::Day),
        1 => Just(Step::Lock),
        8 => Just(Step::Unlock),
        1 => Just(Step::Restart),
        1 => Just(Step::Crash),
    ];
    prop::collection::vec(step, 1..60)
}

/// What an admin is told, as far as the model tells refusals apart.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    Done,
    Locked,
    NotFound,
    Exists,
    Invalid,
    /// The disk refused.
    Unavailable,
    /// An ask was denied, or a key opened nothing.
    Refused,
}

/// The vault as anyone would write it down. Credentials and policies have numbers that are never used again, so that a
/// new one of an old name is another.
#[derive(Debug)]
struct Model {
    unlocked: bool,
    numbers: u32,
    /// Number and mark by name.
    credentials: BTreeMap<u8, (u32, u8)>,
    policies: BTreeMap<u8, ModelPolicy>,
    bots: BTreeMap<u8, ModelBot>,
    mode: Mode,
    /// What marks the key of each slot, by its number.
    slots: BTreeMap<u32, Option<u8>>,
}

#[derive(Debug)]
struct ModelPolicy {
    number: u32,
    kind: Kind,
    reference: Option<u8>,
}

#[derive(Debug)]
struct ModelBot {
    credential: u32,
    policy: Option<u32>,
    revoked: bool,
    mode: Mode,
    /// The orders of the day as they are counted, and as the rows of the ledger say it.
    orders: u64,
    rows: u64,
}

impl Model {
    fn unlocked() -> Model {
        Model {
            unlocked: true,
            numbers: 0,
            credentials: BTreeMap::new(),
            policies: BTreeMap::new(),
            bots: BTreeMap::new(),
            mode: Mode::Normal,
            slots: [(1, None), (2, None)].into(),
        }
    }

    fn number(&mut self) -> u32 {
        self.numbers += 1;
        self.numbers
    }

    fn take(&mut self, step: Step) -> Told {
        match step {
            Step::Lock | Step::Restart | Step::Crash => self.unlocked = false,
            Step::Unlock => self.unlock(),
            Step::UnlockWith(mark) => match self.slots.values().any(|other| *other == Some(mark)) {
                true => self.unlock(),
                false => return Told::Refused,
            },
            Step::Day => self.day(),
            _ if !self.unlocked => return Told::Locked,
            Step::Restore => {
                self.unlocked = false;
                self.day();
            }
            Step::RefusedAddAndCrash => self.unlocked = false,
            Step::MisheardAddAndCrash(name, mark) => {
                let _ = self.change(Step::AddCredential(name, mark));
                self.unlocked = false;
            }
            step => return self.change(step).err().unwrap_or(Told::Done),
        }
        Told::Done
    }

    /// Only an unlock adds up what the rows say; an unlocked vault goes by what it counted.
    fn unlock(&mut self) {
        if !self.unlocked {
            self.bots.values_mut().for_each(|bot| bot.orders = bot.rows);
        }
        self.unlocked = true;
    }

    fn day(&mut self) {
        self.bots.values_mut().for_each(|bot| (bot.orders, bot.rows) = (0, 0));
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
                let policy =
                    under.map(|under| known(&mut self.policies, under).map(|policy| policy.number)).transpose()?;
                let bot = ModelBot { credential, policy, revoked: false, mode: Mode::Normal, orders: 0, rows: 0 };
                self.bots.insert(name, bot);
            }
            Step::RotateBot(name) => known(&mut self.bots, name)?.revoked = false,
            Step::RevokeBot(name) | Step::RefusedRevoke(name) => known(&mut self.bots, name)?.revoked = true,
            Step::RemoveBot(name) => self.bots.remove(&name).map(|_| ()).ok_or(Told::NotFound)?,
            Step::SetPolicy(name, kind) => {
                let number = self.number();
                self.policies.entry(name).or_insert(ModelPolicy { number, kind, reference: None }).kind = kind;
            }
            Step::SetReference(name, price) => known(&mut self.policies, name)?.reference = Some(price),
            Step::RemovePolicy(name) => {
                let number = known(&mut self.policies, name)?.number;
                if self.bots.values().any(|bot| bot.policy == Some(number)) {
                    return Err(Told::Invalid);
                }
                self.policies.remove(&name);
            }
            Step::SetMode(mode, None) => self.mode = mode,
            Step::SetMode(mode, Some(bot)) => known(&mut self.bots, bot)?.mode = mode,
            Step::Order(name) => self.order(name, true)?,
            Step::RefusedOrder(name) => self.order(name, false)?,
            Step::AddSlot(mark) if self.slots.len() < 8 => {
                let next = self.slots.keys().max().unwrap() + 1;
                self.slots.insert(next, Some(mark));
            }
            Step::AddSlot(_) => return Err(Told::Invalid),
            Step::RemoveSlot(number) => self.slots.remove(&number).map(|_| ()).ok_or(Told::NotFound)?,
            Step::MisheardAdd(name, _) => {
                self.number();
                vacant(&self.credentials, name)?;
                return Err(Told::Unavailable);
            }
            _ => (),
        }
        Ok(())
    }

    /// An order that is allowed counts whether its row can be written or not.
    fn order(&mut self, name: u8, is_written: bool) -> Result<(), Told> {
        let bot = self.bots.get(&name).ok_or(Told::NotFound)?;
        let is_counted = self.kind_of(bot) == Kind::Counted;
        if !self.allows(name) {
            return Err(Told::Refused);
        }
        let bot = known(&mut self.bots, name)?;
        if is_counted {
            bot.orders += 1;
            bot.rows += u64::from(is_written);
        }
        if is_written { Ok(()) } else { Err(Told::Unavailable) }
    }

    /// Whether an order of this bot would be signed.
    fn allows(&self, name: u8) -> bool {
        let Some(bot) = self.bots.get(&name) else { return false };
        let has_credential = self.credentials.values().any(|(number, _)| *number == bot.credential);
        let has_room = match self.kind_of(bot) {
            Kind::Reads => false,
            Kind::Trades => true,
            Kind::Counted => bot.orders < 2,
        };
        !bot.revoked && has_credential && has_room && bot.mode.max(self.mode) == Mode::Normal
    }

    fn kind_of(&self, bot: &ModelBot) -> Kind {
        self.policy_of(bot).map_or(Kind::Reads, |policy| policy.kind)
    }

    fn policy_of(&self, bot: &ModelBot) -> Option<&ModelPolicy> {
        bot.policy.and_then(|number| self.policies.values().find(|policy| policy.number == number))
    }

    /// The name and the mark of the credential that a bot signs with, when it may sign.
    fn signs(&self, bot: &ModelBot) -> Option<(u8, u8)> {
        let reads = self.policy_of(bot).is_none_or(|policy| policy.kind != Kind::Trades);
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
    /// How many orders were asked for: each has an id of its own.
    orders: u32,
}

impl Real {
    fn take(mut self, step: Step, model: &Model) -> (Real, Told) {
        let is_unlocked = model.unlocked;
        match step {
            Step::Lock => self.bed.lock(),
            Step::Unlock => drop(self.bed.unlock().unwrap()),
            Step::UnlockWith(mark) => {
                let opened = self.bed.vault.unlock(&key_file(&key(mark)), Accept::default());
                // Whoever failed waits.
                self.bed.clock.pass(60_000);
                return (self, if opened.is_ok() { Told::Done } else { Told::Refused });
            }
            Step::Restart => self.bed = self.bed.restarted(),
            Step::Crash => self.bed = self.bed.crash_image(),
            Step::Day => self.bed.clock.pass(DAY_MS),
            Step::Order(name) | Step::RefusedOrder(name) if is_unlocked => {
                let is_refused = matches!(step, Step::RefusedOrder(_)) && model.allows(name);
                let told = self.order(name, is_refused);
                return (self, told);
            }
            Step::RefusedAdd | Step::RefusedRevoke(_) if is_unlocked => return self.refused(step),
            Step::RefusedAddAndCrash if is_unlocked => {
                let (mut real, told) = self.refused(Step::RefusedAdd);
                real.bed = real.bed.crash_image();
                return (real, told);
            }
            Step::MisheardAddAndCrash(name, mark) if is_unlocked => {
                let _ = self.change(Step::MisheardAdd(name, mark));
                self.bed = self.bed.crash_image();
            }
            Step::Restore if is_unlocked => self.bed = restored(self.bed),
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
            Step::SetPolicy(name, kind) => {
                vault.set_policy(&of("policy", name), PolicySet { text: kind.text().to_owned() }).map(drop)
            }
            Step::SetReference(name, price) => {
                vault.set_reference(&of("policy", name), "BTC-USDT", &price.to_string()).map(drop)
            }
            Step::SetMode(mode, name) => vault.set_mode(mode, name.map(|name| of("bot", name)).as_deref()).map(drop),
            Step::AddSlot(mark) => {
                let secret = SecretText::new(data_encoding::BASE64.encode(&key(mark)));
                match vault.add_slot(SlotSecret::KeyFile(secret)) {
                    Err(SlotChangeError::Admin(error)) => Err(error),
                    added => {
                        added.unwrap();
                        Ok(())
                    }
                }
            }
            Step::RemoveSlot(number) => vault.remove_slot(number),
            Step::MisheardAdd(name, mark) => {
                let ledger = vault.ledger()?;
                if vault.credential(&of("credential", name)).is_err() {
                    ledger.mishear_next_commit();
                }
                vault.add_credential(credential(&of("credential", name), &mark.to_string())).map(drop)
            }
            Step::RemovePolicy(name) => vault.remove_policy(&of("policy", name)),
            _ => Err(AdminError::Locked),
        }
    }

    fn order(&mut self, name: u8, is_refused: bool) -> Told {
        let Some(token) = self.tokens.get(&name) else { return Told::NotFound };
        let Ok(caller) = self.bed.let_in(token) else { return Told::Refused };
        self.orders += 1;
        let id = format!("n{}", self.orders);
        let mut bots = self.bed.vault.bots().unwrap().into_iter();
        let credential = bots.find(|bot| bot.name == of("bot", name)).unwrap().credentials.pop();
        if is_refused {
            self.bed.vault.ledger().unwrap().refuse_next_write();
        }
        match sign(&self.bed.vault, vec![ordering(caller, credential.as_deref().unwrap_or("gone"), &id)]).pop().unwrap()
        {
            Ok(_) => Told::Done,
            Err(Refusal::Unavailable) => Told::Unavailable,
            Err(_) => Told::Refused,
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
            self.has_used(&of("bot", *name), bot, model);
        }
        self.is_set_like(model);
    }

    /// Slots, modes and reference prices are as the model says.
    fn is_set_like(&self, model: &Model) {
        let vault = &self.bed.vault;
        let slots: Vec<u32> = vault.slots().unwrap().into_iter().map(|slot| slot.id).collect();
        assert_eq!(slots, model.slots.keys().copied().collect::<Vec<_>>());
        let modes = vault.modes().unwrap();
        let own = model.bots.iter().filter(|(_, bot)| bot.mode != Mode::Normal);
        let own = own.map(|(name, bot)| (of("bot", *name), bot.mode)).collect();
        assert_eq!((modes.mode, modes.bots), (model.mode, own));
        let shown = vault
            .policies()
            .unwrap()
            .into_iter()
            .map(|card| card.references.into_values().next().map(|reference| reference.price));
        let given = model.policies.values().map(|policy| policy.reference.map(|price| price.to_string()));
        assert_eq!(shown.collect::<Vec<_>>(), given.collect::<Vec<_>>());
    }

    /// What a bot used of its limit is what it was granted, over restarts and refusing disks.
    fn has_used(&self, name: &str, bot: &ModelBot, model: &Model) {
        if bot.revoked || model.kind_of(bot) != Kind::Counted {
            return;
        }
        let look = |unlocked: &Unlocked| unlocked.bot_named(name).unwrap().0;
        let id = self.bed.vault.look(look).unwrap();
        let limits = self.bed.vault.whoami(&id).unwrap().unwrap().limits;
        assert_eq!(limits["orders_per_day"].used, Quantity::Number(bot.orders), "{name}");
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

/// A backup is made; everything but the anchor is lost, and restored. A day later the limits that a restore may leave
/// spent are free again.
fn restored(bed: Bed) -> Bed {
    let backup = bed.dir.path().join("backup");
    std::fs::write(&backup, bed.backup_bytes()).unwrap();
    let bed = bed.restarted();
    std::fs::remove_dir_all(bed.paths().state_dir).unwrap();
    let accept = Accepted { rollback: true, reset_limits: false };
    restore(&backup, &bed.paths(), &key_file(&KEY), accept, &*bed.clock).unwrap();
    bed.clock.pass(DAY_MS);
    bed
}

fn key(mark: u8) -> [u8; 32] {
    [0x40 + mark; 32]
}

fn ordering(caller: Caller, credential: &str, id: &str) -> Asked {
    let body =
        format!(r#"{{"instId":"BTC-USDT","side":"buy","ordType":"limit","px":"60000","sz":"0.001","clOrdId":"{id}"}}"#);
    let request = Request { method: Method::Post, path: "/api/v5/trade/order".to_owned(), body: Some(body) };
    Asked { caller, uid: None, ask: Ask { credential: credential.to_owned(), wanted: Wanted::Request(request) } }
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
        AdminError::Unavailable => Told::Unavailable,
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_vault_and_its_model_agree_after_every_step(steps in steps()) {
        let mut real = Real { bed: Bed::in_memory(), tokens: BTreeMap::new(), dead: Vec::new(), orders: 0 };
        let mut model = Model::unlocked();
        for step in FURNISHED.into_iter().chain(steps) {
            // Or the rate would be what refuses.
            real.bed.clock.pass(1100);
            let (next, told) = real.take(step, &model);
            real = next;
            prop_assert_eq!(told, model.take(step), "{:?}", step);
            real.agrees_with(&model);
        }
        if model.unlocked {
            real.bed.vault.audit_verify().unwrap();
        }
    }
}
