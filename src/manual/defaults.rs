//! Each default, and why it is not another.
//!
//! # What can be configured
//! | key | default | why |
//! |---|---|---|
//! | `listen` | `127.0.0.1:8731` | loopback, and nothing else can be set: a signing port that another machine reaches has no use here and has emptied accounts elsewhere |
//! | `allowed_hosts` | none | a name that resolves to loopback is how a web page gets in |
//! | `anchor_dir` | the state directory with `-anchor` added | another directory at least; another disk is better and can't be guessed |
//! | `require_hardening` | off | a daemon that runs and says what is missing is of more use than one that does not start after an update of the kernel. Turn it on where somebody looks |
//! | `admin.uids` | none | root and the daemon's own user can take the files anyway; nobody else should be able to by default |
//! | `audit.durability` | `full` | a row that power loss can take back is no proof of a signature. `process` is there for those who measured that they need it |
//! | `audit.max_wait_ms` | 2000 | an order that waited longer is an order at another price; a disk that takes longer for one sync hangs |
//! | `audit.low_space_mib` | 256 | hours of rows, and time for a person to make room. An order whose follow-up can't be signed is worse than none, so it ends with what makes risk smaller |
//! | `audit.log_head_rows`, `audit.log_head_minutes` | 10 000, 10 | few lines, and at most ten minutes that a witness of the log can't attest |
//! | `http.max_connections` | 256 | far more bots than one machine runs, far below the usual 1024 open files |
//! | `log.level` | `info` | a line for each change of state and none for a signature: that is what the ledger is for |
//!
//! # What a policy says when it says nothing
//! | | default | why |
//! |---|---|---|
//! | a bot without a policy | may read | the mildest thing that is of use, and it shows at once that trading was not granted |
//! | `grants` | `["read"]` | funds, keys, withdrawals and sessions must be written out by whoever wants them |
//! | `endpoints` | all that the grants allow | narrows only; exact method and path, since every prefix rule has let something through |
//! | `requests_per_second` | 50, and 50 more for reads and cancels | far more than a bot needs, and a bound for how fast denials can fill the disk; a cancel must get through when orders do not |
//! | `[order]`, `[transfer]` | no rules | the grants alone decide; the words that `policy set` prints say how wide that is |
//! | `reference_price_max_age` | 24 hours where a price band is set, else for ever | a band around last week's price protects nobody; a ceiling on money may be rough |
//! | `orders_per_…`, `notional_per_…` | none | nobody can guess how much a bot trades, and a limit that is too low keeps it from closing a position |
//! | `enforcement` | `enforce` | shadow is for trying a policy out, and has to be asked for |
//! | an unknown key | the file is refused | a rule that is ignored is worse than none |
//! | an endpoint that no recipe lists | denied | what is not known can't be judged |
//!
//! # Passwords
//! Argon2id with 256 MiB, 3 passes and 4 lanes: about a third of a second on two cores, once per start. RFC 9106 recommends
//! 2 GiB where it can be had and 64 MiB where not; small servers have neither two spare gigabytes nor a reason to go to
//! the floor. Bounds of 64 MiB to 1 GiB keep a forged header from asking for next to nothing or for all there is.
//! 12 characters at least, since the file can be copied and guessed at leisure; 1024 bytes at most, since the length is
//! work that a stranger can ask for. After a failure 1, 2, 4 … 60 seconds: slow enough for guessing, short enough for
//! a person who mistyped, and one success clears it.
//!
//! # Bounds of HTTP
//! | bound | value | why |
//! |---|---|---|
//! | head | 16 KiB, 32 lines | a token and eight headers fit ten times |
//! | body | 64 KiB; 256 KiB for admins | a batch of twenty orders; a policy with room to spare |
//! | head, body, idle | 5, 10, 60 s | clients on one machine need milliseconds; idle connections are kept for the next order |
//! | write without progress | 10 s | who does not read is not waited for |
//! | batch | 20 | what exchanges take in one request |
//! | wait for the row of a lock, a revocation or a mode | 0.5 s | it holds already; whoever pressed the brake is told so within a second |
//! | ordinary admin actions at once | 8 | more would only wait for each other; what must not wait takes no place |
//!
//! # The ledger
//! An anchor every 256 rows or every second: the most that can be cut off unseen, at a cost that does not show. It is
//! written ahead, from 192 rows on, while others sign. The log of SQLite is folded in every 3072 rows or 16 MiB, by a thread
//! that signs nothing and after most of it was synced: whoever signs meanwhile waits, so it is done often and takes milliseconds.
//! It is cut where it has grown beyond 32 MiB, during a backup perhaps.
//! 16 MiB are held back for a full disk: thousands of cancels, and little on any disk. They are given up when a write finds
//! the disk full, and stay through locks and restarts otherwise.
//!
//! A checkpoint every 16 384 rows: verifying so many takes about a twentieth of a second, which nobody notices in an unlock,
//! and a signature for each is no load. Once a day, so that an export of a quiet vault is signed too. Pruning stops seven days
//! ago: that is how long client ids are remembered, and no limit looks back further.
//!
//! # What is warned of before it ends
//! An idle key and an expiring token from seven days before on: a week has every day on which somebody looks. Other words at
//! three days and at one, because a line that never changes is no longer read. Once a day in the log, whatever looks at
//! logs; a line for each, so that none hides behind another.
//!
//! 30 days for what doctor calls unused or old: a bot that trades by the month has had its turn by then, and a backup that
//! is older lacks a month of changes. The ledger is read for about a second: longer than most need for a month, and short enough
//! for a person who waits.
//!
//! # The clock
//! Five seconds of tolerance: exchanges take thirty, and a synchronised clock is off by milliseconds. Ten seconds of being
//! right before signing goes on: a clock that is being set is often set more than once. Where a time server keeps the
//! clock (`adjtimex` without `STA_UNSYNC`), the kernel is asked once a second: a clock that jumped is believed as soon as
//! the kernel calls it synchronised, with a `clock` row in the ledger, and what limits counted in the time that it was
//! ahead counts as now.
//!
//! The highest wall time that the vault remembers follows the wall clock only while the kernel calls it synchronised, so
//! a clock that ran ahead once, as after a dead battery, leaves no mark. On a machine whose kernel never says so (many
//! virtual machines get their time from outside without its knowledge; a seccomp filter may forbid to ask) it follows the
//! boot clock while the vault is unlocked. There a jump under an unlocked vault stops signing as everywhere, and heals
//! when the clock is back or with `unlock --accept-clock`; and an unlock notices a clock that is behind that time. What it
//! cannot notice there is a clock that was set back while the vault was locked by less than it had been locked in all, and
//! nowhere a clock that was set ahead then: there is nothing that it could be compared with.
//!
//! # The sandbox
//! It is always on and has no switch: whoever takes the daemon over would look for one. What a kernel doesn't know of it is
//! left out and said.
//!
//! Files are allowed by directory, not one by one, because SQLite makes and removes files beside its database; a directory is
//! what landlock holds on to, so one that is replaced as a whole is another one and out of reach. Of the configuration the
//! directory is allowed as well, to read: an editor replaces the file. There are no TCP connections, because nothing here
//! connects anywhere, and one port to listen on. Of system calls those are allowed that the daemon was seen to make, and what
//! the C library, SQLite and the runtime may make in their place on another kernel or machine. Any other gives `EPERM` and does
//! not kill: a library that tries a newer call first falls back to the older one, and a daemon that dies at an unlucky moment
//! signs nothing.
//!
//! The environment is emptied but for what the service manager is told through. Nothing else is read after the start, and a
//! variable that some other program needed is nothing that a crash should find here.
//!
//! A configuration is read again only when SIGHUP asks for it, and as a whole. Addresses, directories and how durable a row
//! is never change under a running daemon: sockets are open, directories are what the sandbox allows, and a promise about rows
//! must not depend on when one was written.
