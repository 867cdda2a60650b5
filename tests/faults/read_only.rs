//! The disk becomes read-only. Under load, as the kernel does it when a file system is broken: every call that writes
//! fails from one moment on. At rest, by a real remount. And only the anchor, by a file that nobody may change. Nothing
//! is signed, in so many words, and it heals when the disk is writable again.

use crate::disk::Disk;
use crate::run::Run;
use crate::support::signers::{Control, Place, Sent, sign_until_over};
use crate::trace::{Attached, files_of};
use crate::vaults::{Admin, Original, serve};
use crate::witness::{Witness, untyped};
use std::process::Command;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

/// Connections under load.
const SIGNERS: usize = 8;
/// Calls that write.
const WRITING: &str = "pwrite64,write,ftruncate,fallocate,?unlink,?rename,fsync,fdatasync";
/// Rows that may follow an anchor, and what the signers have under way besides.
const MOST_WITHOUT_AN_ANCHOR: usize = 512 + SIGNERS;

/// T70. A round is each of the three.
pub fn t70_a_disk_that_becomes_read_only_signs_nothing_and_heals(run: &mut Run) {
    let original = Original::new();
    for _ in 0..run.rounds.div_ceil(3) {
        run.round("read-only under load", |_| under_load(&original));
        run.round("an anchor that nobody may change", |_| fixed_anchor(&original));
        run.round("read-only at rest", |_| at_rest(&original));
    }
}

/// What the signers got while something went wrong: from when on it was wrong, and until when.
struct Spell {
    sent: Vec<Sent>,
    began: Instant,
    ended: Instant,
    wrong: Vec<String>,
}

impl Spell {
    /// Answers to what was asked while it was wrong, by whether it was signed.
    fn within(&self, signed: bool) -> usize {
        let asked = self.sent.iter().filter(|sent| (self.began..self.ended).contains(&sent.at));
        asked.filter(|sent| (sent.response.status == 200) == signed).count()
    }
}

fn under_load(original: &Original) -> Vec<String> {
    let vault = original.copy();
    let daemon = vault.serve();
    Admin::of(&daemon).unlock(&original.key).ok();
    let mut options = files_of(&vault);
    options
        .extend(["-e", &format!("trace={WRITING}"), "-e", &format!("inject={WRITING}:error=EROFS")].map(str::to_owned));
    let mut spell = spell(&Place::of(&daemon), original, 100, || Attached::to(&daemon, &options), drop);
    let (signed, refused) = (spell.within(true), spell.within(false));
    if signed > 0 || refused < 100 {
        spell.wrong.push(format!("while nothing could be written {signed} were signed, {refused} refused"));
    }
    let witness = Witness { sent: spell.sent, ..Witness::default() };
    spell.wrong.extend(witness.what_is_wrong(&daemon));
    spell.wrong
}

fn fixed_anchor(original: &Original) -> Vec<String> {
    let vault = original.copy();
    let anchor = vault.anchor_dir().join("anchor");
    let change =
        |flag: &str| Command::new("chattr").arg(flag).arg(&anchor).output().is_ok_and(|out| out.status.success());
    if !(change("+i") && change("-i")) {
        println!("  not here: the file system or the user can't make a file unchangeable");
        return Vec::new();
    }
    let daemon = vault.serve();
    Admin::of(&daemon).unlock(&original.key).ok();
    let fix = || assert!(change("+i"));
    let free = |()| assert!(change("-i"));
    let mut spell = spell(&Place::of(&daemon), original, 2 * MOST_WITHOUT_AN_ANCHOR, fix, free);
    let (signed, refused) = (spell.within(true), spell.within(false));
    if signed > MOST_WITHOUT_AN_ANCHOR || refused == 0 {
        spell.wrong.push(format!("while the anchor stood still {signed} were signed, {refused} refused"));
    }
    let witness = Witness { sent: spell.sent, ..Witness::default() };
    spell.wrong.extend(witness.what_is_wrong(&daemon));
    spell.wrong
}

/// Signs all the time, makes something wrong until so many answers have come, and right again.
fn spell<T>(
    place: &Place,
    original: &Original,
    answers: usize,
    make: impl FnOnce() -> T,
    end: impl FnOnce(T),
) -> Spell {
    let control = Control::default();
    thread::scope(|scope| {
        let (place, control, token) = (&place, &control, original.token.as_str());
        let signers: Vec<_> =
            (0..SIGNERS).map(|number| scope.spawn(move || sign_until_over(place, token, 0, number, control))).collect();
        control.wait_for_more(50);
        let made = make();
        let began = Instant::now();
        control.wait_for_more(answers);
        let ended = Instant::now();
        // Whatever was asked before that has its answer before it is right again.
        control.wait_for_more(4 * SIGNERS);
        end(made);
        let wrong = heals(control, place, token);
        control.stop();
        let logs: Vec<_> = signers.into_iter().map(|signer| signer.join().expect("a signer")).collect();
        let mut wrong: Vec<String> = wrong.into_iter().collect();
        wrong.extend(
            logs.iter().filter_map(|log| log.ended.as_ref()).map(|error| format!("a connection broke: {error}")),
        );
        let sent: Vec<Sent> = logs.into_iter().flat_map(|log| log.sent).collect();
        wrong.extend(sent.iter().filter_map(|sent| untyped(&sent.response)));
        Spell { sent, began, ended, wrong }
    })
}

/// Signs again within five seconds.
fn heals(control: &Control, place: &Place, token: &str) -> Option<String> {
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline && !control.over.load(Ordering::Relaxed) {
        let mut connection = place.connect(0).expect("connected");
        if connection.sign(token, "main", "GET", "/api/v5/account/balance", None).status == 200 {
            return None;
        }
        thread::sleep(Duration::from_millis(50));
    }
    Some("it does not heal".to_owned())
}

/// While it is locked nothing is open for writing but the daemon's lock: the anchor's disk can really be remounted. A
/// state directory that is read-only keeps the daemon from starting.
fn at_rest(original: &Original) -> Vec<String> {
    let vault = original.copy();
    let (anchor, state) = (Disk::over(&vault.anchor_dir(), 1024), Disk::over(&vault.state_dir(), 4096));
    let mut wrong = Vec::new();
    let daemon = vault.serve();
    let admin = Admin::of(&daemon);
    anchor.make_read_only();
    let refused = admin.unlock(&original.key);
    wrong.extend(untyped(&refused));
    wrong.extend((refused.status == 200).then(|| "it unlocks although the anchor can't be written".to_owned()));
    anchor.make_writable();
    admin.unlock(&original.key).ok();
    assert_eq!(daemon.terminate(), 0);
    state.make_read_only();
    match vault.try_serve_by(serve(&vault)) {
        Err(ended) if ended.code() == Some(1) => (),
        Err(ended) => wrong.push(format!("on a read-only directory it ended with {ended}")),
        Ok(_) => wrong.push("it starts on a read-only directory".to_owned()),
    }
    state.make_writable();
    let daemon = vault.serve();
    Admin::of(&daemon).unlock(&original.key).ok();
    wrong.extend(Witness::default().what_is_wrong(&daemon));
    wrong
}
