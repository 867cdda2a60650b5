//! Whether anything got, lost or changed its name in the directories of a vault: the kernel says so (inotify(7)), so that
//! nobody has to look at every file before every transaction.
//!
//! An event is in the queue before the call that caused it returns. Not told are a directory further up that was moved
//! and a file system that was mounted over one; whoever must know of those looks anyway, now and then.

use crate::store::file::Paths;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;

/// Bytes of events that are read at once: a name has at most 255, an event's head 16.
const EVENTS_BYTES: usize = 4096;

/// A watch over the names of a vault's files.
#[derive(Debug)]
pub(crate) struct Watch {
    /// None where the kernel gives no watch.
    events: Option<OwnedFd>,
    /// Whether both directories are watched. If not, there is always news.
    is_whole: bool,
    /// Whether something may have happened since somebody looked and found everything in its place.
    has_news: bool,
}

impl Watch {
    /// A watch over the directories of these files. There is news until somebody has looked.
    pub(crate) fn over(paths: &Paths) -> Watch {
        let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok();
        let mut watch = Watch { events, is_whole: false, has_news: true };
        watch.is_whole = watch.begin(paths);
        watch
    }

    /// Whether somebody has to look. What happens from here on is news again.
    pub(crate) fn has_news(&mut self, paths: &Paths) -> bool {
        if self.take_events() || !self.is_whole {
            self.has_news = true;
            // A directory that was removed and made anew is another one.
            self.is_whole = self.begin(paths);
        }
        self.has_news
    }

    /// Somebody has looked after [`Watch::has_news`], and everything is in its place.
    pub(crate) fn all_is_well(&mut self) {
        self.has_news = false;
    }

    /// Watches both directories; for one that is watched already this changes nothing. Says whether it does.
    fn begin(&self, paths: &Paths) -> bool {
        let names = WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVE;
        let themselves = WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF | WatchFlags::ONLYDIR;
        let watch = |events, path| inotify::add_watch(events, path, names | themselves).is_ok();
        let directories = [&paths.state_dir, &paths.anchor_dir];
        self.events.as_ref().is_some_and(|events| directories.iter().all(|path| watch(events, path.as_path())))
    }

    /// Takes every event there is. Says whether there was one, or none can be had.
    fn take_events(&self) -> bool {
        let Some(events) = &self.events else { return true };
        let mut any = false;
        loop {
            let mut taken = [0; EVENTS_BYTES];
            match rustix::io::read(events, &mut taken) {
                Err(Errno::INTR) => (),
                Err(Errno::AGAIN) => return any,
                Ok(1..) => any = true,
                Ok(0) | Err(_) => return true,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_name_that_came_went_or_changed_is_news_and_what_is_written_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let [state_dir, anchor_dir, away] = ["state", "anchor", "away"].map(|name| dir.path().join(name));
        let paths = Paths { state_dir: state_dir.clone(), anchor_dir: anchor_dir.clone() };
        [&state_dir, &anchor_dir].iter().for_each(|directory| fs::create_dir(directory).unwrap());
        let mut watch = Watch::over(&paths);
        let mut seen = |what: &str, is_news: bool| {
            assert_eq!(watch.has_news(&paths), is_news, "{what}");
            assert_eq!(watch.has_news(&paths), is_news, "{what}, and nobody has looked");
            watch.all_is_well();
            assert!(!watch.has_news(&paths), "{what}, and somebody has looked");
        };
        seen("the beginning", true);
        fs::write(paths.database(), "database").unwrap();
        seen("a file that came", true);
        fs::write(paths.database(), "more").unwrap();
        seen("a file that was written", false);
        fs::rename(paths.database(), &away).unwrap();
        seen("a file that went", true);
        fs::rename(&away, paths.anchor()).unwrap();
        seen("a file that came into the other directory", true);
        fs::remove_file(paths.anchor()).unwrap();
        seen("a file that was removed", true);
        fs::remove_dir(&anchor_dir).unwrap();
        fs::create_dir(&anchor_dir).unwrap();
        seen("a directory that was made anew", true);
        fs::write(paths.anchor(), "anchor").unwrap();
        seen("a file in the new directory", true);
        fs::rename(&state_dir, &away).unwrap();
        fs::create_dir(&state_dir).unwrap();
        seen("a directory that was moved", true);
    }

    #[test]
    fn without_a_directory_to_watch_there_is_always_news() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths { state_dir: dir.path().to_owned(), anchor_dir: dir.path().join("anchor") };
        let mut watch = Watch::over(&paths);
        for _ in 0..3 {
            assert!(watch.has_news(&paths));
            watch.all_is_well();
        }
        fs::create_dir(&paths.anchor_dir).unwrap();
        assert!(watch.has_news(&paths));
        watch.all_is_well();
        assert!(!watch.has_news(&paths));
    }
}
