//! Bots: who may ask, with which credentials, under which policy.

use crate::audit::event::{Action, Event};
use crate::secret::SecretText;
use crate::store::ledger::Change;
use crate::store::record::Table;
use crate::types::clock::{Now, UnixMs};
use crate::types::id::Id;
use crate::types::mode::Mode;
use crate::vault::change::{Prepared, Promised};
use crate::vault::mode::NO_MODE_ROW;
use crate::vault::state::{BotEntry, Unlocked};
use crate::vault::token::{TokenHash, generate_token};
use crate::vault::{AdminError, Vault, check_name, generate_id};
use crate::wire::{BotAdd, BotCard, BotToken};
use serde::{Deserialize, Serialize};

/// The longest life of a token: a hundred years, in seconds.
const MAX_EXPIRY_S: u64 = 100 * 365 * 86_400;

/// A bot's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bot {
    /// Its name.
    pub name: String,
    /// The hash of its token.
    pub token_hash: TokenHash,
    /// The credentials it may use.
    pub credentials: Vec<Id>,
    /// Its policy; reading only when there is none.
    pub policy: Option<Id>,
    /// The user ids it may run as; any when empty.
    pub uids: Vec<u32>,
    /// When it was added.
    pub created: UnixMs,
    /// When its token stops working.
    pub expires: Option<UnixMs>,
    /// Whether its token was revoked.
    pub revoked: bool,
    /// How much it may do for now, whatever its policy allows.
    #[serde(default)]
    pub mode: Mode,
}

impl Vault {
    /// Every bot, by name.
    ///
    /// # Errors
    /// [`AdminError::Locked`].
    pub fn bots(&self) -> Result<Vec<BotCard>, AdminError> {
        self.look(|unlocked| {
            let mut cards: Vec<BotCard> = unlocked.bots.iter().map(|(id, entry)| shown(unlocked, *id, entry)).collect();
            cards.sort_by(|one, other| one.name.cmp(&other.name));
            cards
        })
    }

    /// One bot.
    ///
    /// # Errors
    /// [`AdminError::NotFound`], [`AdminError::Locked`].
    pub fn bot(&self, name: &str) -> Result<BotCard, AdminError> {
        self.look(|unlocked| {
            let (id, entry) = unlocked.bot_named(name).ok_or(AdminError::NotFound("bot"))?;
            Ok(shown(unlocked, id, entry))
        })?
    }

    /// Adds a bot and makes its token, which is seen only now.
    ///
    /// # Errors
    /// [`AdminError::Invalid`], [`AdminError::Exists`], [`AdminError::NotFound`] for a credential or policy.
    pub fn add_bot(&self, add: BotAdd) -> Result<BotToken, AdminError> {
        check_name("bot", &add.name)?;
        check_reach(&add)?;
        let id = generate_id()?;
        let (token, token_hash) = generate_token(&id).map_err(|_| AdminError::Machine("random numbers"))?;
        let name = add.name.clone();
        self.write_bot(Action::Add, |unlocked, now| match unlocked.bot_named(&add.name) {
            Some(_) => Err(AdminError::Exists("bot")),
            None => Ok((id, 1, new_bot(unlocked, add, token_hash, now)?)),
        })?;
        Ok(BotToken { id: id.to_string(), name, token })
    }

    /// Gives a bot another token; the old one stops working. A revoked bot comes back.
    ///
    /// # Errors
    /// [`AdminError::NotFound`], [`AdminError::Locked`], [`AdminError::Unavailable`]; nothing has changed then.
    pub fn rotate_bot(&self, name: &str) -> Result<BotToken, AdminError> {
        let mut made: Option<(Id, SecretText)> = None;
        self.write_bot(Action::Rotate, |unlocked, _| {
            let (id, entry) = unlocked.bot_named(name).ok_or(AdminError::NotFound("bot"))?;
            let (token, token_hash) = generate_token(&id).map_err(|_| AdminError::Machine("random numbers"))?;
            made = Some((id, token));
            Ok((id, entry.version + 1, Bot { token_hash, revoked: false, ..entry.bot.clone() }))
        })?;
        let (id, token) = made.ok_or(AdminError::NotFound("bot"))?;
        Ok(BotToken { id: id.to_string(), name: name.to_owned(), token })
    }

    /// Ends a bot's token. It holds before this returns, whatever the disk does: no later ledger row allows the bot
    /// anything.
    ///
    /// # Errors
    /// [`AdminError::NotFound`]; [`AdminError::AppliedInMemory`] when its row could not be written.
    pub fn revoke_bot(&self, name: &str) -> Result<BotCard, AdminError> {
        self.begin_to_revoke_bot(name)?.settled()
    }

    /// The part of [`Vault::revoke_bot`] that waits for nobody.
    ///
    /// # Errors
    /// [`AdminError::NotFound`], [`AdminError::Locked`].
    pub fn begin_to_revoke_bot(&self, name: &str) -> Result<Promised<BotCard>, AdminError> {
        self.change_at_once("the row about a revocation is not written yet", |unlocked, now| {
            let (id, entry) = unlocked.bot_named(name).ok_or(AdminError::NotFound("bot"))?;
            let (bot, version) = (Bot { revoked: true, ..entry.bot.clone() }, entry.version + 1);
            let change = Change::Put(Table::Bot, seal(unlocked, id, version, &bot)?);
            if let Some(entry) = unlocked.bots.get_mut(&id) {
                (entry.bot, entry.version, entry.rotating) = (bot, version, None);
            }
            let (_, entry) = unlocked.bot_named(name).ok_or(AdminError::NotFound("bot"))?;
            let card = shown(unlocked, id, entry);
            Ok(Prepared::new(now, Event::Bot { action: Action::Revoke, bot: name }, vec![change], card))
        })
    }

    /// Takes a bot out. Its token stops working before this returns, like a revoked one's.
    ///
    /// # Errors
    /// [`AdminError::NotFound`]; [`AdminError::AppliedInMemory`] when its row could not be written.
    pub fn remove_bot(&self, name: &str) -> Result<(), AdminError> {
        self.begin_to_remove_bot(name)?.settled()
    }

    /// The part of [`Vault::remove_bot`] that waits for nobody.
    ///
    /// # Errors
    /// [`AdminError::NotFound`], [`AdminError::Locked`].
    pub fn begin_to_remove_bot(&self, name: &str) -> Result<Promised<()>, AdminError> {
        self.change_at_once("the row about a removal is not written yet", |unlocked, now| {
            let (id, _) = unlocked.bot_named(name).ok_or(AdminError::NotFound("bot"))?;
            unlocked.bots.remove(&id);
            unlocked.book.forget_bot(&id);
            let event = Event::Bot { action: Action::Remove, bot: name };
            Ok(Prepared::new(now, event, vec![Change::Delete(Table::Bot, id)], ()))
        })
    }

    /// The one way a bot's record is written: seal, queue, and after it is durable put it into memory, unless a revoke,
    /// a removal or a mode came in between. From its place in the queue on, a bot's old token lets nobody in; it does again when
    /// the disk refused the new one.
    fn write_bot(
        &self,
        action: Action,
        make: impl FnOnce(&Unlocked, Now) -> Result<(Id, u64, Bot), AdminError>,
    ) -> Result<(), AdminError> {
        let prepare = |unlocked: &mut Unlocked, now: Now| {
            let (id, version, bot) = make(unlocked, now)?;
            let change = Change::Put(Table::Bot, seal(unlocked, id, version, &bot)?);
            unlocked.bots.set_rotating(&id, Some(Box::new(bot.clone())));
            let event = Event::Bot { action, bot: &bot.name };
            Ok(Prepared::new(now, event, vec![change], (id, version, bot.clone())))
        };
        let publish = |unlocked: &mut Unlocked, (id, version, bot): &(Id, u64, Bot)| {
            unlocked.bots.set_rotating(id, None);
            if unlocked.bots.get(id).map_or(0, |entry| entry.version) + 1 == *version {
                unlocked.bots.insert(*id, BotEntry::new(bot.clone(), *version));
            }
        };
        let take_back = |unlocked: &mut Unlocked, (id, ..): &(Id, u64, Bot)| unlocked.bots.set_rotating(id, None);
        self.change_or_take_back(&self.turn(), prepare, publish, take_back).map(|_| ())
    }

    /// Sets how much a bot may do for now. It holds before this returns, whatever the disk does and whatever other action
    /// is under way. A token that is on its way to the disk becomes the bot's with it: both are one record, and if the
    /// disk refuses the rotation alone the bot has a token that nobody knows, until it is rotated again.
    ///
    /// # Errors
    /// [`AdminError::NotFound`], [`AdminError::Locked`].
    pub(super) fn begin_to_set_bot_mode(&self, name: &str, mode: Mode) -> Result<Promised<()>, AdminError> {
        self.change_at_once(NO_MODE_ROW, |unlocked, now| {
            let (id, entry) = unlocked.bot_named(name).ok_or(AdminError::NotFound("bot"))?;
            let (known, version) = match &entry.rotating {
                None => (&entry.bot, entry.version + 1),
                Some(next) => (&**next, entry.version + 2),
            };
            let bot = Bot { mode, ..known.clone() };
            let change = Change::Put(Table::Bot, seal(unlocked, id, version, &bot)?);
            if let Some(entry) = unlocked.bots.get_mut(&id) {
                (entry.bot, entry.version, entry.rotating) = (bot, version, None);
            }
            Ok(Prepared::new(now, Event::Mode { mode, bot: Some(name), why: None }, vec![change], ()))
        })
    }
}

/// A new token needs random numbers of its own; a revocation and a mode need none.
fn seal(unlocked: &Unlocked, id: Id, version: u64, bot: &Bot) -> Result<crate::store::record::RecordRow, AdminError> {
    let json = serde_json::to_vec(bot).map_err(|_| AdminError::Unavailable)?;
    unlocked.keyring.seal_hedged(Table::Bot, id, version, &json)
}

fn check_reach(add: &BotAdd) -> Result<(), AdminError> {
    match add {
        BotAdd { credentials, .. } if credentials.is_empty() => {
            Err(AdminError::invalid("a bot needs a credential", "name at least one with --credential"))
        }
        BotAdd { expires_in_s: Some(seconds), .. } if *seconds == 0 || *seconds > MAX_EXPIRY_S => {
            Err(AdminError::invalid("that token would never work", "let it expire after 1 second to 100 years"))
        }
        _ => Ok(()),
    }
}

fn new_bot(unlocked: &Unlocked, add: BotAdd, token_hash: TokenHash, now: Now) -> Result<Bot, AdminError> {
    let credential = |name: &String| unlocked.credential_named(name).map(|(id, _)| id);
    let credentials = add.credentials.iter().map(credential).collect::<Option<Vec<Id>>>();
    let policy = match &add.policy {
        None => None,
        Some(name) => Some(unlocked.policy_named(name).ok_or(AdminError::NotFound("policy"))?.0),
    };
    Ok(Bot {
        name: add.name,
        token_hash,
        credentials: credentials.ok_or(AdminError::NotFound("credential"))?,
        policy,
        uids: add.uids,
        created: now.wall,
        expires: add.expires_in_s.map(|seconds| now.wall.plus_ms(seconds as i64 * 1000)),
        revoked: false,
        mode: Mode::Normal,
    })
}

fn shown(unlocked: &Unlocked, id: Id, entry: &BotEntry) -> BotCard {
    let bot = &entry.bot;
    let policy = unlocked.policy_of(bot);
    let credentials = bot.credentials.iter().filter_map(|id| unlocked.credentials.get(id));
    BotCard {
        id: id.to_string(),
        name: bot.name.clone(),
        credentials: credentials.map(|credential| credential.card.name.clone()).collect(),
        policy: policy.name.clone(),
        grants: policy.policy.grants.iter().copied().collect(),
        uids: bot.uids.clone(),
        created: bot.created.to_string(),
        expires: bot.expires.map(|moment| moment.to_string()),
        revoked: bot.revoked,
        mode: bot.mode,
        last_seen: entry.last_seen.map(|moment| moment.to_string()),
    }
}
