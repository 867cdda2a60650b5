/* What a program may do under the settings of signvault.service, asked of the kernel one thing at a time. It stands where
 * the daemon stands (ExecPaths= names that path), prints a line for each question and always ends with 0: what is right is
 * decided by who reads the lines. For machines of machine.py only: it mounts and names what it may. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <unistd.h>

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#endif
#define LANDLOCK_VERSION 1

static void say(const char *what, long result) {
    if (result >= 0) printf("%s: done\n", what);
    else printf("%s: %s\n", what, strerrorname_np(errno));
}

/* Runs a program, and says how that began. */
static void try_exec(const char *what, const char *path) {
    int told[2];
    if (pipe2(told, O_CLOEXEC) < 0) { say(what, -1); return; }
    pid_t child = fork();
    if (child == 0) {
        execl(path, path, "-c", "exit 0", (char *)NULL);
        int why = errno;
        _exit(write(told[1], &why, sizeof why) != sizeof why);
    }
    close(told[1]);
    int why = 0;
    long failed = read(told[0], &why, sizeof why) == sizeof why;
    waitpid(child, NULL, 0);
    close(told[0]);
    errno = why;
    say(what, failed ? -1 : 0);
}

/* Traces, and reads the memory of, a child of its own: whoever may not do that may do it to nobody. */
static void try_child(void) {
    static char here[] = "memory";
    char there[sizeof here];
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    pid_t child = fork();
    if (child == 0) { pause(); _exit(0); }
    struct iovec local = {there, sizeof there}, remote = {here, sizeof here};
    say("process_vm_readv", process_vm_readv(child, &local, 1, &remote, 1, 0));
    say("process_vm_writev", process_vm_writev(child, &local, 1, &remote, 1, 0));
    say("ptrace", ptrace(PTRACE_SEIZE, child, 0, 0));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

/* In a child, which is the one that it would change. */
static void try_namespace(void) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        say("a namespace", unshare(CLONE_NEWUSER));
        fflush(stdout);
        _exit(0);
    }
    waitpid(child, NULL, 0);
}

static void try_open(const char *what, const char *path, int flags) {
    int file = open(path, flags | O_CLOEXEC, 0600);
    say(what, file);
    if (file >= 0) { close(file); if (flags & O_CREAT) unlink(path); }
}

static void try_memory(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int both = PROT_READ | PROT_WRITE | PROT_EXEC, anonymous = MAP_PRIVATE | MAP_ANONYMOUS;
    say("mmap writable and executable", mmap(NULL, page, both, anonymous, -1, 0) == MAP_FAILED ? -1 : 0);
    void *data = mmap(NULL, page, PROT_READ | PROT_WRITE, anonymous, -1, 0);
    say("mprotect to executable", mprotect(data, page, PROT_READ | PROT_EXEC));
    say("mlock", mlock(data, page));
    int secret = (int)syscall(SYS_memfd_secret, 0);
    if (secret >= 0 && ftruncate(secret, (off_t)page) == 0) {
        char *kept = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, secret, 0);
        if (kept == MAP_FAILED) secret = -1; else kept[0] = 1;
    }
    say("memfd_secret", secret);
    struct rlimit locked;
    getrlimit(RLIMIT_MEMLOCK, &locked);
    printf("locked memory: %llu\n", (unsigned long long)locked.rlim_cur);
}

static void *nothing(void *unused) { return unused; }

/* What the daemon needs. */
static void try_needs(const char *state) {
    char path[4096];
    snprintf(path, sizeof path, "%s/probe", state);
    try_open("write into the state directory", path, O_WRONLY | O_CREAT);
    int names = inotify_init1(IN_CLOEXEC);
    say("inotify", names < 0 ? -1 : inotify_add_watch(names, state, IN_MOVE | IN_DELETE));
    struct timex clock = {0};
    say("read the clock's state", adjtimex(&clock));
    pthread_t thread;
    errno = pthread_create(&thread, NULL, nothing, NULL);
    say("start a thread", errno ? -1 : 0);
    say("landlock", syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION));
    int unix_socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    say("AF_UNIX", unix_socket);
}

/* Last: what is taken away here is gone. */
static void try_own_filter(void) {
    struct sock_filter allow[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog filter = {1, allow};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    say("seccomp", syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter));
}

int main(void) {
    say("AF_INET", socket(AF_INET, SOCK_STREAM, 0));
    say("AF_INET6", socket(AF_INET6, SOCK_STREAM, 0));
    say("AF_NETLINK", socket(AF_NETLINK, SOCK_RAW, 0));
    try_child();
    char params[120] = {0};
    say("io_uring", syscall(SYS_io_uring_setup, 1, params));
    say("userfaultfd", syscall(SYS_userfaultfd, O_CLOEXEC));
    say("kcmp", syscall(SYS_kcmp, getpid(), getpid(), 0, 0, 0));
    try_exec("execute a shell", "/bin/sh");
    try_open("write to /etc", "/etc/signvault-probe", O_WRONLY | O_CREAT);
    try_open("write to /run/signvault", "/run/signvault/probe", O_WRONLY | O_CREAT);
    try_open("read of /root", "/root", O_RDONLY | O_DIRECTORY);
    try_open("read of /home", "/home/probe", O_RDONLY);
    int mounted = mount("none", "/mnt", "tmpfs", 0, NULL);
    say("mount", mounted);
    if (mounted == 0) umount("/mnt");
    say("another host name", sethostname("vault", 5));
    try_namespace();
    say("keyring", syscall(SYS_keyctl, 0, -3, 1));
    try_memory();
    try_needs(getenv("STATE_DIRECTORY") ? strtok(getenv("STATE_DIRECTORY"), ":") : "/var/lib/signvault");
    try_own_filter();
    return 0;
}
