//! The configuration file: understood, and nobody else's to change.

use crate::cli::doctor::files::others_may_write;
use crate::cli::report::{Failure, with_causes};
use crate::config::{Config, ConfigError, Env, Flags};
use crate::wire::doctor::Finding;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const CHECK: &str = "config.file";
/// A file that says nothing.
const EMPTY: &str = "/dev/null";

/// Reads the configuration. A file that is not understood is a finding, and doctor goes on as if it said nothing.
///
/// # Errors
/// What stands in a flag or a variable, not in a file: then it is not known which instance is meant.
pub fn look(flags: &Flags, env: &Env) -> Result<(Config, Vec<Finding>), Failure> {
    let mut findings: Vec<Finding> = in_force(flags, env).map(|path| guarded(&path)).into_iter().collect();
    let config = match Config::load(flags, env) {
        Ok(config) => config,
        Err(error) => {
            let without = Flags { config: Some(PathBuf::from(EMPTY)), ..flags.clone() };
            let config = Config::load(&without, env)?;
            findings = vec![not_understood(&error)];
            config
        }
    };
    if findings.is_empty() {
        findings.push(Finding::ok(CHECK, "there is no configuration file: defaults hold"));
    }
    Ok((config, findings))
}

fn not_understood(error: &ConfigError) -> Finding {
    let help =
        format!("{}; until then the daemon does not start, and what follows is about the usual places", error.help());
    Finding::fail(CHECK, with_causes(error), help)
}

/// The file that counts, by the same order as when it is read: named, one's own, the machine's.
fn in_force(flags: &Flags, env: &Env) -> Option<PathBuf> {
    if let Some(named) = flags.config.clone().or_else(|| env.path("SIGNVAULT_CONFIG")) {
        return Some(env.absolute(&named));
    }
    let base = env.path("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    let base = base.or_else(|| Some(env.path("HOME")?.join(".config"))).filter(|_| !env.root);
    let own = base.map(|base| base.join("signvault/signvault.toml"));
    [own, Some(PathBuf::from("/etc/signvault/signvault.toml"))].into_iter().flatten().find(|path| path.exists())
}

/// Whoever may write to the file may say where the vault is and who administers it.
fn guarded(path: &Path) -> Finding {
    let place = path.display();
    let own = rustix::process::geteuid().as_raw();
    match path.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Finding::fail(CHECK, format!("there is no {place}"), "check the path")
        }
        Err(error) => Finding::skip(CHECK, format!("{place} can't be looked at: {error}"), "run this as root"),
        Ok(about) if about.is_file() && others_may_write(&about) => Finding::fail(
            CHECK,
            format!("{place} has the mode {:04o}: others may change it", about.mode() & 0o777),
            format!("chmod go-w {place}"),
        ),
        Ok(about) if about.uid() != 0 && about.uid() != own && own != 0 => Finding::fail(
            CHECK,
            format!("{place} belongs to the user {}, who may change it", about.uid()),
            format!("give it to root or yourself: chown {own} {place}"),
        ),
        Ok(_) => Finding::ok(CHECK, format!("{place} is understood, and nobody else may change it")),
    }
}
