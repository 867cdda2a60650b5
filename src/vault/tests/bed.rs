//! A vault in a temporary directory, with a clock that goes only when it is told to.

use crate::audit::chain::Link;
use crate::crypto::keys::{self, VaultKey};
use crate::crypto::slot::{SlotKind, SlotMethod};
use crate::recipe::sign::Signed as Content;
use crate::recipe::{self, Recipe};
use crate::secret::{Arena, SecretBytes, SecretText};
use crate::store::anchor::{Anchor, Mark};
use crate::store::file::{self, Paths};
use crate::store::ledger::Ledger;
use crate::store::ledger::reading::StoredRow;
use crate::store::{Durability, first};
use crate::types::ask::{Ask, Method, Request, Wanted};
use crate::types::clock::{Clock, Now, UnixMs};
use crate::types::id::Id;
use crate::vault::authenticate::{Caller, NotLetIn, authenticate};
use crate::vault::init::make_slot;
use crate::vault::lock::Why;
use crate::vault::sign::{Asked, Refusal, Signed, sign};
use crate::vault::unlock::{Accept, SlotKey, UnlockError};
use crate::vault::{Care, Setup, Vault};
use crate::wire::policy::PolicySet;
use crate::wire::{BotAdd, CredentialAdd, CredentialSecrets, Unlocked};
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What opens slot 1.
pub const KEY: [u8; 32] = [0x11; 32];
/// What opens slot 2.
pub const OTHER_KEY: [u8; 32] = [0x22; 32];
/// The path of most asks.
pub const BALANCE: &str = "/api/v5/account/balance";

const START: Now = Now { wall: UnixMs(1_700_000_000_000), boot_ms: 50_000 };

/// A clock that is set by hand.
pub struct HandClock {
    now: Mutex<Now>,
    /// Held while whoever reads the clock has to wait.
    readers: Mutex<()>,
    /// What the kernel says of it.
    synchronised: AtomicBool,
}

impl Clock for HandClock {
    fn now(&self) -> Now {
        drop(self.readers.lock());
        *self.now.lock()
    }

    fn is_synchronised(&self) -> bool {
        self.synchronised.load(Ordering::SeqCst)
    }
}

impl HandClock {
    fn starting_at(now: Now) -> Arc<HandClock> {
        let synchronised = AtomicBool::new(false);
        Arc::new(HandClock { now: Mutex::new(now), readers: Mutex::new(()), synchronised })
    }

    /// Keeps everyone waiting who reads the clock, for as long as the guard lives.
    pub fn hold_readers(&self) -> impl Drop + '_ {
        self.readers.lock()
    }

    /// Time passes: both clocks go on.
    pub fn pass(&self, ms: i64) {
        self.jump(ms);
        self.now.lock().boot_ms += ms.unsigned_abs();
    }

    /// Time passes, but the wall clock stands still.
    pub fn freeze(&self, ms: u64) {
        self.now.lock().boot_ms += ms;
    }

    /// The kernel says from now on that the clock is kept right, or that it is not.
    pub fn set_synchronised(&self, synchronised: bool) {
        self.synchronised.store(synchronised, Ordering::SeqCst);
    }

    /// What the wall clock says.
    pub fn wall(&self) -> UnixMs {
        self.now.lock().wall
    }

    /// The wall clock is set to this; no time passes.
    pub fn set(&self, wall: UnixMs) {
        self.now.lock().wall = wall;
    }

    /// The wall clock is set; no time passes.
    pub fn jump(&self, ms: i64) {
        let mut now = self.now.lock();
        now.wall = now.wall.plus_ms(ms);
    }
}

/// The vault, its files, and its clock.
pub struct Bed {
    /// Holds everything.
    pub dir: tempfile::TempDir,
    /// The clock.
    pub clock: Arc<HandClock>,
    /// The vault.
    pub vault: Vault,
}

impl Bed {
    /// An empty vault with two key-file slots, locked.
    pub fn locked() -> Bed {
        Bed::locked_in(tempfile::tempdir().unwrap())
    }

    fn locked_in(dir: tempfile::TempDir) -> Bed {
        build(&paths_in(dir.path()));
        Bed::over(dir, HandClock::starting_at(START))
    }

    /// An empty, unlocked vault.
    pub fn empty() -> Bed {
        let bed = Bed::locked();
        bed.unlock().unwrap();
        bed
    }

    /// An empty, unlocked vault whose files are in memory, for tests that would spend their time on syncing.
    pub fn in_memory() -> Bed {
        let bed = Bed::locked_in(memory());
        bed.unlock().unwrap();
        bed
    }

    /// An unlocked vault with the credentials `main` and `spare`, the policies `trader` and `reader`, and the bots `bob`
    /// (main, trader) and `eve` (spare, reader), whose tokens come with it.
    pub fn furnished() -> (Bed, SecretText, SecretText) {
        Bed::empty().furnish()
    }

    /// Puts into an empty vault what [`Bed::furnished`] has.
    pub fn furnish(self) -> (Bed, SecretText, SecretText) {
        let bed = self;
        for name in ["main", "spare"] {
            bed.vault.add_credential(credential(name, "one")).unwrap();
        }
        bed.set_policy("trader", r#"grants = ["read", "trade"]"#);
        bed.set_policy("reader", r#"grants = ["read"]"#);
        let bob = bed.vault.add_bot(bot("bob", "main", Some("trader"))).unwrap().token;
        let eve = bed.vault.add_bot(bot("eve", "spare", Some("reader"))).unwrap().token;
        (bed, bob, eve)
    }

    /// A locked vault over files that are there.
    #[cfg(feature = "model-check")]
    pub fn over_files(dir: tempfile::TempDir) -> Bed {
        Bed::over(dir, HandClock::starting_at(START))
    }

    /// A locked vault over files that are there, by a clock.
    pub fn over(dir: tempfile::TempDir, clock: Arc<HandClock>) -> Bed {
        let vault = Vault::new(setup(paths_in(dir.path()), Arc::clone(&clock)));
        Bed { dir, clock, vault }
    }

    /// The process ends without a lock, and another begins.
    pub fn restarted(self) -> Bed {
        drop(self.vault);
        Bed::over(self.dir, self.clock)
    }

    /// As [`Bed::restarted`], and unlocked again.
    pub fn reopened(self) -> Bed {
        let bed = self.restarted();
        bed.unlock().unwrap();
        bed
    }

    /// What a crash would leave at this moment: the files as they are, in memory, and no process over them.
    pub fn crash_image(&self) -> Bed {
        let dir = memory();
        let (from, to) = (self.paths(), paths_in(dir.path()));
        for (from, to) in [(from.state_dir, to.state_dir), (from.anchor_dir, to.anchor_dir)] {
            file::private_dir(&to).unwrap();
            for entry in std::fs::read_dir(from).unwrap() {
                let entry = entry.unwrap();
                std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
        Bed::over(dir, Arc::clone(&self.clock))
    }

    /// Where its files are.
    pub fn paths(&self) -> Paths {
        paths_in(self.dir.path())
    }

    /// Unlocks with the first key.
    pub fn unlock(&self) -> Result<Unlocked, UnlockError> {
        self.unlock_accepting(Accept::default())
    }

    /// Unlocks with the first key and accepts something.
    pub fn unlock_accepting(&self, accept: Accept) -> Result<Unlocked, UnlockError> {
        self.vault.unlock(&key_file(&KEY), accept)
    }

    /// Locks.
    pub fn lock(&self) {
        self.vault.lock(Why::Asked).unwrap();
    }

    /// Sets a policy.
    pub fn set_policy(&self, name: &str, text: &str) {
        self.vault.set_policy(name, PolicySet { text: text.to_owned() }).unwrap();
    }

    /// Lets a bot in by its token.
    pub fn let_in(&self, token: &SecretText) -> Result<Caller, NotLetIn> {
        authenticate(&self.vault, Some(token.expose()), None)
    }

    /// Asks for a balance with this bot's token and a credential.
    pub fn sign(&self, token: &SecretText, credential: &str) -> Result<Signed, Refusal> {
        let caller = self.let_in(token).map_err(|_| Refusal::NotLetIn)?;
        self.sign_as(caller, credential)
    }

    /// Asks for a balance as a bot that was let in before.
    pub fn sign_as(&self, caller: Caller, credential: &str) -> Result<Signed, Refusal> {
        sign(&self.vault, vec![asked(caller, credential)]).pop().unwrap()
    }

    /// Every ledger row.
    pub fn rows(&self) -> Vec<StoredRow> {
        self.vault.ledger().unwrap().rows(0, 10_000).unwrap()
    }

    /// The text of the last row.
    pub fn last_row(&self) -> String {
        self.rows().pop().unwrap().body
    }
}

/// An ask for a balance.
pub fn asked(caller: Caller, credential: &str) -> Asked {
    let request = Request { method: Method::Get, path: BALANCE.to_owned(), body: None };
    let ask = Ask { credential: credential.to_owned(), wanted: Wanted::Request(request) };
    Asked { caller, uid: None, ask }
}

/// A header of a signed request.
pub fn header(signed: &Signed, name: &str) -> String {
    let Content::Request(request) = &signed.content else { panic!("a session") };
    request.headers.iter().find(|(other, _)| &**other == name).unwrap().1.clone()
}

/// A key file's key.
pub fn key_file(key: &[u8; 32]) -> SlotKey {
    SlotKey { kind: SlotKind::KeyFile, secret: SecretBytes::new(key.to_vec()) }
}

/// Secrets with a mark in them.
pub fn secrets(mark: &str) -> CredentialSecrets {
    let part = |what: &str| SecretText::new(format!("{what}-{mark}"));
    CredentialSecrets { api_key: part("key"), secret: part("secret"), passphrase: part("pass") }
}

/// A credential to add.
pub fn credential(name: &str, mark: &str) -> CredentialAdd {
    let rest = serde_json::json!({ "name": name, "exchange": "okx", "secrets": {
        "api_key": format!("key-{mark}"), "secret": format!("secret-{mark}"), "passphrase": format!("pass-{mark}") } });
    serde_json::from_value(rest).unwrap()
}

/// A bot to add.
pub fn bot(name: &str, credential: &str, policy: Option<&str>) -> BotAdd {
    BotAdd {
        name: name.to_owned(),
        credentials: vec![credential.to_owned()],
        policy: policy.map(str::to_owned),
        uids: Vec::new(),
        expires_in_s: None,
    }
}

/// A directory in memory, where the system has such a place.
fn memory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// The files of a vault under a directory.
pub fn paths_in(dir: &Path) -> Paths {
    Paths { state_dir: dir.join("state"), anchor_dir: dir.join("anchor") }
}

/// The clock that every vault here begins with.
pub fn clock() -> Arc<HandClock> {
    HandClock::starting_at(START)
}

/// A locked vault over files that somebody else removes.
pub fn vault_at(paths: Paths, clock: &Arc<HandClock>) -> Vault {
    Vault::new(setup(paths, Arc::clone(clock)))
}

fn setup(paths: Paths, clock: Arc<HandClock>) -> Setup {
    let okx = Arc::new(Recipe::parse(recipe::built_in("okx").unwrap()).unwrap());
    let recipes = [("okx".to_owned(), okx)].into();
    let care = Care { low_space_bytes: 0, ..Care::default() };
    Setup { paths, durability: Durability::Full, care, clock, arena: Arena::new().unwrap(), recipes }
}

/// Makes a vault as `init` does, but with key files.
fn build(paths: &Paths) {
    file::private_dir(&paths.state_dir).unwrap();
    file::private_dir(&paths.anchor_dir).unwrap();
    let (vault_id, vault_key) = (Id([9; 16]), VaultKey::generate().unwrap());
    let slot = |id, key: &[u8]| make_slot(vault_id, id, SlotMethod::KeyFile, 0, key, vault_key.expose()).unwrap();
    let slots = [slot(1, &KEY), slot(2, &OTHER_KEY)];
    let (keys, _) = keys::derive(&Arena::new().unwrap(), vault_id, vault_key, 1).unwrap();
    let tail = Link::START.next(keys.audit.expose(), &vault_id, "{}");
    let content = first::Content { slots: &slots, records: &[] };
    first::build(&paths.database(), &keys, vault_id, &content, "{}", tail, START.wall).unwrap();
    Anchor::create(&paths.anchor(), keys.anchor.expose(), &vault_id, Mark { state_version: 1, audit: tail }).unwrap();
}

/// Waits until so many batches wait for the disk.
pub fn wait_for(ledger: &Ledger, batches: usize) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while ledger.waiting() < batches {
        assert!(Instant::now() < deadline, "nothing was queued");
        thread::yield_now();
    }
}
