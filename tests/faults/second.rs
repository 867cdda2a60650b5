//! Beside a running daemon nothing else may touch its vault: not a second daemon, not `init`, not `restore`.

use crate::run::Run;
use crate::support::signers::{Control, Place, sign_until_over};
use crate::support::{PASSWORD, Vault};
use crate::vaults::{Admin, Original, serve};
use crate::witness::{Witness, told};
use std::process::{Command, Stdio};
use std::thread;

/// The second daemon's, relative to the first one's directory.
const OTHER_RUN_DIR: &str = "run2";

/// T77. A round is one try of each while the first daemon signs.
pub fn t77_nothing_else_touches_the_vault_of_a_running_daemon(run: &mut Run) {
    let original = Original::new();
    for _ in 0..run.rounds {
        run.round("a second daemon, an init and a restore", |_| beside(&original));
    }
}

fn beside(original: &Original) -> Vec<String> {
    let vault = original.copy();
    let daemon = vault.serve();
    Admin::of(&daemon).unlock(&original.key).ok();
    let backup = vault.dir().join("backup").to_str().expect("UTF-8").to_owned();
    daemon.run(&["backup", &backup], "").ok();
    let (place, control, token) = (Place::of(&daemon), Control::default(), original.token.as_str());
    let (mut wrong, mut witness) = (Vec::new(), Witness::default());
    thread::scope(|scope| {
        let (place, control) = (&place, &control);
        let signers: Vec<_> =
            (0..4).map(|number| scope.spawn(move || sign_until_over(place, token, 0, number, control))).collect();
        control.wait_for_more(20);
        wrong.extend(others(&vault, original, &backup));
        control.wait_for_more(20);
        control.stop();
        for log in signers.into_iter().map(|signer| signer.join().expect("a signer")) {
            wrong.extend(log.ended.map(|error| format!("a connection broke: {error}")));
            let refused = log.sent.iter().filter(|sent| sent.response.status != 200);
            wrong.extend(refused.map(|sent| format!("answered {}", told(&sent.response))));
            witness.sent.extend(log.sent);
        }
    });
    wrong.extend(witness.what_is_wrong(&daemon));
    drop(daemon);
    let daemon = vault.serve();
    Admin::of(&daemon).unlock(&original.key).ok();
    wrong.extend(witness.what_is_wrong(&daemon));
    wrong
}

/// What the others say: a failure, of the right kind.
fn others(vault: &Vault, original: &Original, backup: &str) -> Vec<String> {
    let mut same = serve(vault);
    let mut with_other_sockets = Command::new(same.get_program());
    let arguments =
        same.get_args().map(|argument| if argument == vault.run_dir() { OTHER_RUN_DIR.as_ref() } else { argument });
    with_other_sockets.current_dir(vault.dir()).env_clear().args(arguments);
    let mut wrong = Vec::new();
    for command in [&mut same, &mut with_other_sockets] {
        let ended = command.stdin(Stdio::null()).output().expect("it ends");
        let told = String::from_utf8_lossy(&ended.stderr).into_owned();
        if ended.status.code() != Some(1) || !told.contains("another daemon") {
            wrong.push(format!("a second daemon ended with {}: {told}", ended.status));
        }
    }
    let key = original.vault().key_file();
    let again: [(&[&str], &str); 3] = [
        (&["init", "--stdin", "--no-recovery", "--kdf-memory-mib", "64"], PASSWORD),
        (&["restore", backup, "--key-file", &key], ""),
        (&["restore", backup, "--key-file", &key, "--accept-rollback"], ""),
    ];
    for (arguments, stdin) in again {
        let answer = vault.run(arguments, stdin);
        if answer.code != 1 || !answer.stderr.contains("already") {
            wrong.push(format!("{arguments:?} ended with {}: {}", answer.code, answer.stderr));
        }
    }
    wrong
}
