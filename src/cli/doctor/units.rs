//! The unit files of systemd: whether those that are installed are those that came along, and whether something beside
//! them takes away what protects the daemon.
//!
//! Only names of directives are told: their values may be anybody's business, or a secret.

use crate::config::Env;
use crate::wire::doctor::Finding;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Units of one kind: where they are looked for, and what came along.
struct Kind {
    /// Where systemd looks; the first directory that has a unit wins (systemd.unit(5)).
    directories: Vec<PathBuf>,
    /// Those that came along, by name, with their text.
    shipped: &'static [(&'static str, &'static str)],
}

/// The machine's units that came along.
const OF_SYSTEM: [(&str, &str); 5] = [
    ("signvault.service", include_str!("../../../systemd/signvault.service")),
    ("signvault.socket", include_str!("../../../systemd/signvault.socket")),
    ("signvault-admin.socket", include_str!("../../../systemd/signvault-admin.socket")),
    ("signvault-tcp.socket", include_str!("../../../systemd/signvault-tcp.socket")),
    ("signvault-key.service", include_str!("../../../systemd/signvault-key.service")),
];
/// A user's own.
const OF_USER: [(&str, &str); 4] = [
    ("signvault.service", include_str!("../../../systemd/user/signvault.service")),
    ("signvault.socket", include_str!("../../../systemd/user/signvault.socket")),
    ("signvault-admin.socket", include_str!("../../../systemd/user/signvault-admin.socket")),
    ("signvault-tcp.socket", include_str!("../../../systemd/user/signvault-tcp.socket")),
];

/// Where systemd looks for the machine's units.
const SYSTEM: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
/// Where it looks for those of every user, after the user's own directory.
const USER: [&str; 3] = ["/etc/systemd/user", "/usr/local/lib/systemd/user", "/usr/lib/systemd/user"];

/// The names of units that may have drop-ins.
const NAMES: [&str; 5] = [
    "signvault.service",
    "signvault.socket",
    "signvault-admin.socket",
    "signvault-tcp.socket",
    "signvault-key.service",
];

/// Directives that protect the daemon or its sockets. A drop-in may set any other.
const PROTECTING: [&str; 46] = [
    "AmbientCapabilities",
    "CapabilityBoundingSet",
    "CoredumpFilter",
    "DevicePolicy",
    "DynamicUser",
    "ExecPaths",
    "ExecStart",
    "Group",
    "IPAddressDeny",
    "KeyringMode",
    "LimitCORE",
    "LimitMEMLOCK",
    "ListenStream",
    "LockPersonality",
    "MemoryDenyWriteExecute",
    "MemorySwapMax",
    "NoExecPaths",
    "NoNewPrivileges",
    "PrivateDevices",
    "PrivateIPC",
    "PrivateMounts",
    "PrivateNetwork",
    "PrivateTmp",
    "PrivateUsers",
    "ProcSubset",
    "ProtectClock",
    "ProtectControlGroups",
    "ProtectHome",
    "ProtectHostname",
    "ProtectKernelLogs",
    "ProtectKernelModules",
    "ProtectKernelTunables",
    "ProtectProc",
    "ProtectSystem",
    "RemoveIPC",
    "RestrictAddressFamilies",
    "RestrictNamespaces",
    "RestrictRealtime",
    "RestrictSUIDSGID",
    "SocketGroup",
    "SocketMode",
    "SystemCallArchitectures",
    "SystemCallFilter",
    "SystemCallErrorNumber",
    "UMask",
    "User",
];

/// Values that switch a protection off.
const OFF: [&str; 5] = ["", "no", "false", "off", "0"];

/// Directives of which nothing is the most that they can protect.
const BEST_EMPTY: [&str; 7] = [
    "AmbientCapabilities",
    "CapabilityBoundingSet",
    "CoredumpFilter",
    "ExecPaths",
    "LimitCORE",
    "MemorySwapMax",
    "UMask",
];

/// A unit's directives: each with all its values, in order.
type Directives = BTreeMap<String, Vec<String>>;

/// Looks at the units in these directories, or in the usual ones.
pub fn look(directories: &[PathBuf], env: &Env) -> Vec<Finding> {
    let kinds = kinds(directories, env);
    let drifted = |kind: &Kind| -> Vec<Finding> {
        let of_units = kind.shipped.iter().filter_map(|(name, text)| drift(&kind.directories, name, text));
        of_units.chain(NAMES.iter().flat_map(|name| drop_ins(&kind.directories, name))).collect()
    };
    let mut findings: Vec<Finding> = kinds.iter().flat_map(drifted).collect();
    if findings.is_empty() {
        let is_installed = |kind: &Kind, name: &str| found(&kind.directories, name).is_some();
        let installed = |kind: &Kind| NAMES.iter().filter(|name| is_installed(kind, name)).count();
        let what = match kinds.iter().map(installed).sum() {
            0 => "no unit is installed".to_owned(),
            count => format!("{count} units are installed, and nothing weakens them"),
        };
        findings.push(Finding::ok("unit.drift", what));
    }
    findings
}

/// The machine's units, and of a user those of its own too; or what was named, as the machine's.
fn kinds(named: &[PathBuf], env: &Env) -> Vec<Kind> {
    if !named.is_empty() {
        let directories = each_once(named.iter().map(|path| env.absolute(path)));
        return vec![Kind { directories, shipped: &OF_SYSTEM }];
    }
    let system = Kind { directories: each_once(SYSTEM.iter().map(PathBuf::from)), shipped: &OF_SYSTEM };
    let base = env.path("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    let base = base.or_else(|| Some(env.path("HOME")?.join(".config"))).filter(|_| !env.root);
    let of_user = |base: PathBuf| {
        let all = USER.iter().map(PathBuf::from);
        let directories = each_once(std::iter::once(base.join("systemd/user")).chain(all));
        Kind { directories, shipped: &OF_USER }
    };
    std::iter::once(system).chain(base.map(of_user)).collect()
}

/// The directories that there are, each by its real path and once: /lib is often /usr/lib.
fn each_once(directories: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut real = Vec::new();
    for directory in directories.filter_map(|directory| directory.canonicalize().ok()) {
        if !real.contains(&directory) {
            real.push(directory);
        }
    }
    real
}

/// The file that counts.
fn found(directories: &[PathBuf], name: &str) -> Option<PathBuf> {
    directories.iter().map(|directory| directory.join(name)).find(|path| path.exists())
}

/// What is different in an installed unit.
fn drift(directories: &[PathBuf], name: &str, shipped: &str) -> Option<Finding> {
    let path = found(directories, name)?;
    let place = path.display();
    let Ok(text) = fs::read_to_string(&path) else {
        return Some(Finding::skip("unit.drift", format!("{place} can't be read"), "run this as root"));
    };
    let (ours, theirs) = (directives(shipped), directives(&text));
    let changed: BTreeSet<&str> = different(&ours, &theirs).collect();
    if changed.is_empty() {
        return None;
    }
    let named = changed.iter().copied().collect::<Vec<_>>().join(", ");
    let help = "put changes into a drop-in (systemctl edit), and install the unit that came with this version";
    let weaker = changed.iter().any(|key| PROTECTING.contains(key) && is_weaker(&ours, &theirs, key));
    Some(match weaker {
        true => {
            Finding::fail("unit.drift", format!("{place} protects less than the one that came along: {named}"), help)
        }
        false => Finding::warn("unit.drift", format!("{place} is not the one that came along: {named}"), help),
    })
}

fn different<'a>(ours: &'a Directives, theirs: &'a Directives) -> impl Iterator<Item = &'a str> {
    ours.keys().chain(theirs.keys()).filter(|key| ours.get(*key) != theirs.get(*key)).map(String::as_str)
}

/// Whether a protection is gone or switched off.
fn is_weaker(ours: &Directives, theirs: &Directives, key: &str) -> bool {
    match BEST_EMPTY.contains(&key) {
        true => !theirs.contains_key(key),
        false => is_off(theirs, key) && !is_off(ours, key),
    }
}

/// Whether a unit switches a protection off, or does not have it.
fn is_off(unit: &Directives, key: &str) -> bool {
    let last = unit.get(key).and_then(|values| values.last());
    last.is_none_or(|value| OFF.iter().any(|off| value.eq_ignore_ascii_case(off)))
}

/// What the drop-ins of a unit change about its protection.
fn drop_ins(directories: &[PathBuf], name: &str) -> Vec<Finding> {
    let kind = name.rsplit('.').next().unwrap_or_default();
    let folders = [format!("{name}.d"), format!("{kind}.d")];
    let paths = directories.iter().flat_map(|directory| folders.iter().map(|folder| directory.join(folder)));
    paths.flat_map(|folder| confs(&folder)).filter_map(|path| drop_in(&path, name)).collect()
}

fn confs(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut paths: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|kind| kind == "conf")).collect();
    paths.sort();
    paths
}

fn drop_in(path: &Path, name: &str) -> Option<Finding> {
    let place = path.display();
    let Ok(text) = fs::read_to_string(path) else {
        return Some(Finding::skip("unit.drop_in", format!("{place} can't be read"), "run this as root"));
    };
    let set = directives(&text);
    let touched: Vec<&str> = set.keys().map(String::as_str).filter(|key| PROTECTING.contains(key)).collect();
    let can_be_off = touched.iter().copied().filter(|key| !BEST_EMPTY.contains(key));
    let off: Vec<&str> = can_be_off.filter(|key| is_off(&set, key)).collect();
    let help = "take it out, unless it is meant; `systemd-analyze security signvault.service` says what it costs";
    match (touched.is_empty(), off.is_empty()) {
        (true, _) => None,
        (false, true) => Some(Finding::warn(
            "unit.drop_in",
            format!("{place} changes what protects {name}: {}", touched.join(", ")),
            help,
        )),
        (false, false) => Some(Finding::fail(
            "unit.drop_in",
            format!("{place} switches off what protects {name}: {}", off.join(", ")),
            help,
        )),
    }
}

/// Reads a unit file: comments and sections are passed over, a line that ends in a backslash goes on.
fn directives(text: &str) -> Directives {
    let mut found = Directives::new();
    let joined = text.replace("\\\n", " ");
    for line in joined.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';', '['])) {
        if let Some((key, value)) = line.split_once('=') {
            let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
            found.entry(key.trim().to_owned()).or_default().push(value);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::doctor::Level;

    const SHIPPED: &str = "[Service]\nExecStart=/usr/bin/signvault serve\nProtectSystem=strict\nRestart=on-failure\n";

    /// What is found in a unit with this text.
    fn drifted(text: &str) -> Option<(Level, String)> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("signvault.service"), text).unwrap();
        drift(&[dir.path().to_owned()], "signvault.service", SHIPPED).map(|found| (found.level, found.what))
    }

    #[test]
    fn a_unit_that_was_changed_is_told_by_the_names_of_its_directives() {
        assert_eq!(drifted(SHIPPED), None);
        assert_eq!(drifted(&format!("# a remark\n\n{SHIPPED}")), None);
        let (level, what) = drifted(&SHIPPED.replace("on-failure", "no # hunter2")).unwrap();
        assert!(level == Level::Warn && what.ends_with(": Restart") && !what.contains("hunter2"), "{what}");
        let (level, what) = drifted(&SHIPPED.replace("=strict", "=no")).unwrap();
        assert!(level == Level::Fail && what.ends_with(": ProtectSystem"), "{what}");
        let (level, _) = drifted(&SHIPPED.replace("ProtectSystem=strict\n", "")).unwrap();
        assert_eq!(level, Level::Fail);
        assert_eq!(drift(&[PathBuf::from("/nowhere")], "signvault.service", SHIPPED), None, "none is installed");
    }

    #[test]
    fn every_unit_that_protects_is_watched_and_the_same_as_itself() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in OF_SYSTEM.iter().chain(&OF_USER) {
            fs::write(dir.path().join(name), text).unwrap();
            assert!(drift(&[dir.path().to_owned()], name, text).is_none(), "{name}");
            assert!(NAMES.contains(name), "{name} may have drop-ins");
        }
        let service = directives(OF_SYSTEM[0].1);
        let weak =
            service.keys().filter(|key| ["Protect", "Private", "Restrict"].iter().any(|word| key.starts_with(word)));
        let unwatched: Vec<_> = weak.filter(|key| !PROTECTING.contains(&key.as_str())).collect();
        assert!(unwatched.is_empty() && service.len() > 40, "{unwatched:?}");
    }

    #[test]
    fn a_drop_in_may_set_what_protects_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("signvault.service.d");
        fs::create_dir(&folder).unwrap();
        let looked = |text: &str| {
            fs::write(folder.join("x.conf"), text).unwrap();
            let found = drop_ins(&[dir.path().to_owned()], "signvault.service");
            found.first().map(|found| (found.level, found.what.split(": ").last().unwrap_or_default().to_owned()))
        };
        assert_eq!(looked("[Service]\nEnvironment=A=b\nLoadCredentialEncrypted=signvault.key:/etc/k\n"), None);
        let off = looked("[Service]\nSystemCallFilter=\nUser=root\n").unwrap();
        assert_eq!(off, (Level::Fail, "SystemCallFilter".to_owned()));
        assert_eq!(looked("[Service]\nUser=root\n"), Some((Level::Warn, "User".to_owned())));
        assert_eq!(looked("[Service]\nLimitCORE=0\n"), Some((Level::Warn, "LimitCORE".to_owned())));
        fs::rename(folder.join("x.conf"), folder.join("x.conf.off")).unwrap();
        assert!(drop_ins(&[dir.path().to_owned()], "signvault.service").is_empty());
    }

    #[test]
    fn a_line_that_goes_on_is_one() {
        let found = directives("[S]\nSystemCallFilter=@a \\\n  @b\n; x=y\nSystemCallFilter=~@c\n");
        assert_eq!(found["SystemCallFilter"], ["@a @b", "~@c"]);
        assert_eq!(found.len(), 1);
    }
}
