//! The system calls that the daemon makes, by what for. Any other gives `EPERM`: starting a program, tracing or reading
//! another process, loading modules, mounting, new namespaces, `io_uring`, keys of the kernel, and so on.

use seccompiler::SeccompCmpArgLen::{Dword, Qword};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};
use std::collections::BTreeMap;

/// Why the filter is not there.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// It could not be made for this machine.
    #[error("no filter for this kind of machine")]
    Make(#[from] BackendError),
    /// The kernel did not take it.
    #[error(transparent)]
    Apply(#[from] seccompiler::Error),
}

/// Files and directories. Modes and owners change by what is open alone: landlock, which says what may be opened, does not
/// look at changes by name.
const FILES: &[i64] = &[
    libc::SYS_openat,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_unlinkat,
    libc::SYS_mkdirat,
    libc::SYS_fchmod,
    libc::SYS_fchown,
    libc::SYS_umask,
    libc::SYS_fcntl,
    libc::SYS_flock,
    libc::SYS_copy_file_range,
    libc::SYS_sendfile,
    libc::SYS_inotify_init1,
    libc::SYS_inotify_add_watch,
    libc::SYS_inotify_rm_watch,
];

/// The same under the names that only older kinds of machines have.
#[cfg(target_arch = "x86_64")]
const OLDER: &[i64] = &[
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_unlink,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_poll,
    libc::SYS_epoll_wait,
    libc::SYS_time,
    libc::SYS_getrlimit,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[i64] = &[];

/// Sockets that are there, and connections to them. Which new ones may be made, and how is sent, is in [`rules`].
const SOCKETS: &[i64] = &[
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_connect,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_shutdown,
];

/// Waiting.
const EVENTS: &[i64] = &[
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    libc::SYS_pipe2,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_ppoll,
    libc::SYS_futex,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_restart_syscall,
];

/// Memory. What may be made executable is in [`rules`].
const MEMORY: &[i64] = &[
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_mlock,
    libc::SYS_munlock,
    libc::SYS_mincore,
];

/// Threads, signals and the end. There are no other processes of the daemon's.
const THREADS: &[i64] = &[
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_rseq,
    libc::SYS_membarrier,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getcpu,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_tgkill,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// What the machine says of itself: time, randomness, users, limits.
const QUESTIONS: &[i64] = &[
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_gettimeofday,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_getrandom,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_uname,
    libc::SYS_sysinfo,
];

/// Allows what is listed here and nothing else. Returns how many calls that is.
///
/// # Errors
/// [`FilterError`]: then nothing is forbidden.
pub fn apply() -> Result<usize, FilterError> {
    let rules = rules()?;
    let count = rules.len();
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = program(rules, refused, SeccompAction::Allow)?;
    // The C library tries the other way to make a thread only when this one is not known; its flags lie in memory,
    // where no filter can look at them.
    let unknown = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let unknown = program(unknown, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS.unsigned_abs()))?;
    seccompiler::apply_filter(&unknown)?;
    seccompiler::apply_filter(&filter)?;
    Ok(count)
}

fn program(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    matching: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    let machine = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, otherwise, matching, machine)?.try_into()
}

/// Every call that is allowed; some only with certain arguments.
fn rules() -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    let plain = [FILES, OLDER, SOCKETS, EVENTS, MEMORY, THREADS, QUESTIONS].concat();
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = plain.into_iter().map(|call| (call, Vec::new())).collect();
    // Of the two filters the later one would win with the same kind of answer.
    rules.insert(libc::SYS_clone3, Vec::new());
    // Whatever listens is there by now, and nothing more can. Landlock alone would leave datagrams, MPTCP, and a socket that
    // listens without ever having been bound to whoever takes the process over.
    for call in [libc::SYS_socket, libc::SYS_socketpair] {
        rules.insert(call, vec![only_if(0, Dword, SeccompCmpOp::Eq, libc::AF_UNIX.unsigned_abs().into())?]);
    }
    // To send with this flag is to connect, past what landlock says of connecting.
    let not_to_connect = SeccompCmpOp::MaskedEq(libc::MSG_FASTOPEN.unsigned_abs().into());
    for (call, flags) in [(libc::SYS_sendto, 3), (libc::SYS_sendmsg, 2)] {
        rules.insert(call, vec![only_if(flags, Dword, not_to_connect.clone(), 0)?]);
    }
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        let not_executable = SeccompCmpOp::MaskedEq(libc::PROT_EXEC.unsigned_abs().into());
        rules.insert(call, vec![only_if(2, Dword, not_executable, 0)?]);
    }
    // A thread shares everything with the others; whatever does not is a process.
    let thread = (libc::CLONE_VM | libc::CLONE_THREAD).unsigned_abs().into();
    rules.insert(libc::SYS_clone, vec![only_if(0, Dword, SeccompCmpOp::MaskedEq(thread), thread)?]);
    let name = [libc::PR_SET_NAME, libc::PR_GET_DUMPABLE, libc::PR_SET_VMA];
    let name = name.map(|what| only_if(0, Dword, SeccompCmpOp::Eq, what.unsigned_abs().into()));
    rules.insert(libc::SYS_prctl, name.into_iter().collect::<Result<_, _>>()?);
    // Limits may be read and not set: the pointer to a new one is null.
    rules.insert(libc::SYS_prlimit64, vec![only_if(2, Qword, SeccompCmpOp::Eq, 0)?]);
    let asks = [libc::FIONBIO, libc::FIONREAD, libc::TCGETS].map(|ask| only_if(1, Dword, SeccompCmpOp::Eq, ask));
    rules.insert(libc::SYS_ioctl, asks.into_iter().collect::<Result<_, _>>()?);
    Ok(rules)
}

fn only_if(argument: u8, of: SeccompCmpArgLen, is: SeccompCmpOp, value: u64) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(argument, of, is, value)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_that_was_taken_over_would_want_is_not_among_the_calls() {
        let rules = rules().unwrap();
        for call in [
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_io_uring_setup,
            libc::SYS_mount,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_bpf,
            libc::SYS_userfaultfd,
            libc::SYS_pidfd_getfd,
            libc::SYS_keyctl,
            libc::SYS_kill,
            libc::SYS_memfd_create,
            libc::SYS_bind,
            libc::SYS_listen,
            libc::SYS_fchmodat,
            libc::SYS_fchownat,
        ] {
            assert!(!rules.contains_key(&call), "{call}");
        }
        assert!(rules.len() > 90, "{}", rules.len());
    }
}
