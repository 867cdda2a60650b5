//! What a process that was taken over could still do. The child is this binary: it confines itself with the daemon's own
//! functions, tries everything, and says what went through.

use rustix::net::{AddressFamily, Protocol, SendFlags, SocketType, sendto};
use signvault::daemon::sandbox::{Reach, confine_calls, confine_files};
use std::cell::RefCell;
use std::fs::{File, Permissions};
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr as SocketAddrUnix, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names the directory of a child, for which alone that test does anything.
const CONFINED: &str = "SIGNVAULT_TEST_CONFINED";

/// What is tried: a name, whether it must go through, and the try.
type Tries<'a> = Vec<(&'static str, bool, Box<dyn Fn() -> bool + 'a>)>;

fn tries<'a>(own: &'a Path, other: &'a Path, port: u16, nameless: SocketAddrUnix) -> Tries<'a> {
    let file = own.join("file");
    let written = move || File::create(&file).and_then(|mut file| file.write_all(b"x")).is_ok();
    let moved = move || std::fs::rename(own.join("file"), own.join("moved")).is_ok();
    let parent = rustix::process::getppid().expect("a parent");
    // Made while that may be done: one for each time that it is tried.
    let socket = || rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    let sockets = RefCell::new(vec![socket(), socket()]);
    vec![
        ("write an own file", true, Box::new(written)),
        ("move it", true, Box::new(moved)),
        ("read it", true, Box::new(move || std::fs::read(own.join("moved")).is_ok())),
        ("remove it", true, Box::new(move || std::fs::remove_file(own.join("moved")).is_ok())),
        ("start a thread", true, Box::new(move || std::thread::spawn(|| 7).join().is_ok_and(|seven| seven == 7))),
        ("read the list of users", false, Box::new(move || std::fs::read("/etc/passwd").is_ok())),
        ("read another directory", false, Box::new(move || std::fs::read_dir(other).is_ok())),
        ("write into it", false, Box::new(move || File::create(other.join("file")).is_ok())),
        (
            "link to its own file from there",
            false,
            Box::new(move || std::os::unix::fs::symlink(own, other.join("l")).is_ok()),
        ),
        ("read its own memory", false, Box::new(move || File::open("/proc/self/mem").is_ok())),
        ("connect to a port", false, Box::new(move || TcpStream::connect(("127.0.0.1", port)).is_ok())),
        ("listen on a port", false, Box::new(move || TcpListener::bind("127.0.0.1:0").is_ok())),
        ("start a shell", false, Box::new(move || Command::new("/bin/sh").arg("-c").arg("true").status().is_ok())),
        (
            "ask the kernel's routing",
            false,
            Box::new(|| rustix::net::socket(AddressFamily::NETLINK, SocketType::RAW, None).is_ok()),
        ),
        ("send a datagram", false, Box::new(move || datagram(port))),
        ("connect by sending", false, Box::new(move || connects_by_sending(&sockets, port))),
        ("listen on a port of the kernel's choice", false, Box::new(listens_unbound)),
        ("make a socket of many paths", false, Box::new(|| makes(SocketType::STREAM, Some(MPTCP)))),
        ("listen on a socket of its own", false, Box::new(move || listens_on_own(own))),
        ("let others write into a directory", false, Box::new(move || opened_to_all(other))),
        ("connect to a socket without a file", false, Box::new(move || UnixStream::connect_addr(&nameless).is_ok())),
        ("make memory executable", false, Box::new(executable)),
        ("raise its own limits", false, Box::new(raised)),
        (
            "make itself dumpable again",
            false,
            Box::new(move || {
                rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::Dumpable).is_ok()
            }),
        ),
        ("signal another process", false, Box::new(move || rustix::process::test_kill_process(parent).is_ok())),
    ]
}

/// Multipath TCP of RFC 8684, which landlock does not take for TCP.
const MPTCP: Protocol = Protocol::from_raw(NonZero::new(libc::IPPROTO_MPTCP.unsigned_abs()).expect("not zero"));

fn makes(kind: SocketType, protocol: Option<Protocol>) -> bool {
    rustix::net::socket(AddressFamily::INET, kind, protocol).is_ok()
}

fn datagram(port: u16) -> bool {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None);
    socket
        .is_ok_and(|socket| sendto(socket, b"x", SendFlags::empty(), &SocketAddr::from(([127, 0, 0, 1], port))).is_ok())
}

/// TCP Fast Open of RFC 7413, as a client.
fn connects_by_sending(sockets: &RefCell<Vec<OwnedFd>>, port: u16) -> bool {
    let fast_open = SendFlags::from_bits_retain(libc::MSG_FASTOPEN.unsigned_abs());
    let socket = sockets.borrow_mut().pop().expect("one for each try");
    sendto(socket, b"x", fast_open, &SocketAddr::from(([127, 0, 0, 1], port))).is_ok()
}

fn listens_on_own(own: &Path) -> bool {
    let path = own.join("socket");
    UnixListener::bind(&path).is_ok_and(|_| std::fs::remove_file(path).is_ok())
}

/// Changing a mode opens nothing, so landlock does not look at it.
fn opened_to_all(directory: &Path) -> bool {
    std::fs::set_permissions(directory, Permissions::from_mode(0o777)).is_ok()
}

/// A socket that was never bound gets any port at every address.
fn listens_unbound() -> bool {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None);
    socket.is_ok_and(|socket| rustix::net::listen(socket, 1).is_ok())
}

#[expect(unsafe_code, reason = "no safe function makes such a mapping")]
fn executable() -> bool {
    use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
    let access = ProtFlags::READ | ProtFlags::WRITE | ProtFlags::EXEC;
    // SAFETY: a new mapping at an address of the kernel's choice touches no memory that is in use.
    unsafe { mmap_anonymous(std::ptr::null_mut(), 4096, access, MapFlags::PRIVATE) }.is_ok()
}

fn raised() -> bool {
    use rustix::process::{Resource, Rlimit, setrlimit};
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).is_ok()
}

/// The child. Does nothing in the parent.
#[test]
fn a_process_that_confines_itself() {
    let Some(dir) = std::env::var_os(CONFINED).map(PathBuf::from) else { return };
    let (own, other) = (dir.join("own"), dir.join("other"));
    let held = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = held.local_addr().expect("an address").port();
    let nameless = SocketAddrUnix::from_abstract_name(dir.as_os_str().as_encoded_bytes()).expect("short enough");
    let before = tries(&own, &other, port, nameless);
    // The last ones change the process for good; that the others can go through at all is half of the test.
    for (what, _, goes_through) in before.iter().take(22) {
        assert!(goes_through(), "unconfined: {what}");
    }
    let files = confine_files(&Reach { own: [&own, &own], configuration: None, nameless: false });
    let calls = confine_calls();
    assert!(files.holds && calls.holds, "{files:?} {calls:?}");
    let wrong: Vec<&str> = before
        .iter()
        .filter(|(_, expected, goes_through)| goes_through() != *expected)
        .map(|(what, ..)| *what)
        .collect();
    assert!(wrong.is_empty(), "otherwise than it should be: {wrong:?}");
}

#[test]
fn a_process_that_was_taken_over_reaches_its_own_files_and_nothing_else() {
    let dir = tempfile::tempdir().expect("a directory");
    ["own", "other"].iter().for_each(|name| std::fs::create_dir(dir.path().join(name)).expect("made"));
    // Landlock lets a process connect to what listens in its own confines.
    let nameless = SocketAddrUnix::from_abstract_name(dir.path().as_os_str().as_encoded_bytes());
    let _held = nameless.and_then(|address| UnixListener::bind_addr(&address)).expect("bound");
    let mut child = Command::new(std::env::current_exe().expect("this binary"));
    child.args(["sandbox::a_process_that_confines_itself", "--exact", "--test-threads=1"]);
    let ended = child.env(CONFINED, dir.path()).output().expect("it runs");
    let told = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && told.contains("1 passed"), "{told}");
}
