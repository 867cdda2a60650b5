//! A small disk of a vault's own: a tmpfs mounted below the vault's temporary directory. Needs root.

use crate::vaults::copy_files;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted disk. It is unmounted when this is dropped, after the daemon that used it.
pub struct Disk {
    at: PathBuf,
}

impl Disk {
    /// Mounts one of so many KiB over a directory, whose files it takes over.
    pub fn over(at: &Path, size_kib: u64) -> Disk {
        let before = tempfile::tempdir().expect("a temporary directory");
        copy_files(at, before.path());
        run("mount", &["-t", "tmpfs", "-o", &format!("size={size_kib}k,mode=0700"), "tmpfs"], at);
        let disk = Disk { at: at.to_owned() };
        copy_files(before.path(), at);
        std::fs::set_permissions(at, std::fs::Permissions::from_mode(0o700)).expect("narrowed");
        disk
    }

    /// Fills it until so many KiB are free, or fewer.
    pub fn fill(&self, left_kib: u64) {
        // To the end first: what is left then is exactly what is taken back.
        let filler = self.filler();
        let free = self.free_kib();
        if let Some(take) = free.checked_sub(left_kib).filter(|take| *take > 0) {
            run("fallocate", &["-l", &format!("{take}KiB")], &filler);
        }
    }

    /// Makes room again.
    pub fn clear(&self) {
        // It is not there when nothing had to be filled.
        let _ = std::fs::remove_file(self.filler());
    }

    /// What is free.
    pub fn free_kib(&self) -> u64 {
        let about = rustix::fs::statvfs(&self.at).expect("a file system");
        about.f_bavail * about.f_frsize / 1024
    }

    /// From now on nothing can be written to it. Refused by the kernel while a file is open for writing.
    pub fn make_read_only(&self) {
        run("mount", &["-o", "remount,ro"], &self.at);
    }

    /// As before.
    pub fn make_writable(&self) {
        run("mount", &["-o", "remount,rw"], &self.at);
    }

    fn filler(&self) -> PathBuf {
        self.at.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let plainly = Command::new("umount").arg(&self.at).output();
        if !plainly.is_ok_and(|ended| ended.status.success()) {
            // A daemon that is just ending still has files on it.
            let _ = Command::new("umount").arg("-l").arg(&self.at).output();
        }
    }
}

#[track_caller]
fn run(program: &str, arguments: &[&str], last: &Path) {
    let ended = Command::new(program).args(arguments).arg(last).output();
    let ended = ended.unwrap_or_else(|error| panic!("{program}: {error}"));
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{program} {arguments:?}: {told} (mounting needs root)");
}
