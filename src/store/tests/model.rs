//! The store against a plain model of it: whatever is queued, owed, settled, refused, misheard or lost in a crash, in
//! whatever order, the files say what the model says. After each step they are read as another process would read them.

use super::bed::{Bed, Content, FIRST, slot};
use crate::store::ledger::{Change, Receipt, Unavailable};
use crate::store::queue::Ticket;
use crate::store::record::Table;
use crate::store::writer::tests::{entry, row};
use crate::types::clock::UnixMs;
use crate::types::id::Id;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// What may be done. Records and slots have three names each, so that they meet.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Rows and perhaps a change go into the queue; nobody waits for them yet.
    Enqueue(u8, Option<What>),
    /// The same for what holds in memory already.
    Owe(u8, Option<What>),
    /// One of those who queued waits for the disk.
    Settle(u8),
    Tend,
    Scrub,
    /// The rows are read and verified through the ledger.
    Read,
    /// The next write fails.
    Refuse,
    /// The next commit reaches the disk and seems to fail.
    Mishear,
    /// The process ends.
    Crash,
    /// The ledger is closed in order and opened again.
    Close,
}

/// A change of the tables.
#[derive(Clone, Copy, Debug)]
enum What {
    Put(Table, u8),
    Delete(Table, u8),
    PutSlot(u32),
    DeleteSlot(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let table = || prop::sample::select(&Table::ALL[..]);
    let what = || {
        prop_oneof![
            4 => (table(), 0..3_u8).prop_map(|(table, id)| What::Put(table, id)),
            2 => (table(), 0..3_u8).prop_map(|(table, id)| What::Delete(table, id)),
            2 => (1..4_u32).prop_map(What::PutSlot),
            1 => (1..4_u32).prop_map(What::DeleteSlot),
        ]
    };
    let rows = || 1..4_u8;
    let step = prop_oneof![
        6 => (rows(), prop::option::of(what())).prop_map(|(rows, what)| Step::Enqueue(rows, what)),
        3 => (rows(), prop::option::of(what())).prop_map(|(rows, what)| Step::Owe(rows, what)),
        6 => any::<u8>().prop_map(Step::Settle),
        2 => Just(Step::Tend),
        1 => Just(Step::Scrub),
        1 => Just(Step::Read),
        2 => Just(Step::Refuse),
        3 => Just(Step::Mishear),
        2 => Just(Step::Crash),
        1 => Just(Step::Close),
    ];
    prop::collection::vec(step, 1..40)
}

/// Something in the queue.
#[derive(Clone, Debug)]
struct Waiting {
    number: u64,
    rows: u8,
    what: Option<What>,
    is_owed: bool,
}

/// What stands in the files.
#[derive(Clone, Debug)]
struct Files {
    state_version: u64,
    rows: Vec<String>,
    records: BTreeMap<(&'static str, u8), u64>,
    slots: BTreeMap<u32, u64>,
}

impl Files {
    /// Writes all that waits in one transaction, and says the first row of each.
    fn write(&mut self, waiting: &[Waiting]) -> Vec<u64> {
        let mut firsts = Vec::new();
        for one in waiting {
            firsts.push(self.rows.len() as u64 + 1);
            self.rows.extend((0..one.rows).map(|at| body(one.number, at)));
            match one.what {
                Some(What::Put(table, id)) => drop(self.records.insert((table.name(), id), one.number)),
                Some(What::Delete(table, id)) => drop(self.records.remove(&(table.name(), id))),
                Some(What::PutSlot(id)) => drop(self.slots.insert(id, one.number)),
                Some(What::DeleteSlot(id)) => drop(self.slots.remove(&id)),
                None => (),
            }
        }
        self.state_version += u64::from(waiting.iter().any(|one| one.what.is_some()));
        firsts
    }
}

/// What the next write meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Refused,
    Misheard,
}

/// The store as anyone would write it down.
#[derive(Clone, Debug)]
struct Model {
    numbers: u64,
    acknowledged: Files,
    /// What stands in the files when that is more than what was acknowledged: a commit that was misheard, until the files
    /// are opened again.
    misheard: Option<Files>,
    /// Whether a crash left the files ahead of the anchor, which follows with the next use.
    is_ahead: bool,
    queue: Vec<Waiting>,
    /// The first row, or that it was not written, of those who wait and have their outcome.
    outcomes: BTreeMap<u64, Option<u64>>,
    fault: Option<Fault>,
}

impl Model {
    fn new() -> Model {
        let rows = vec![FIRST.to_owned()];
        let acknowledged = Files { state_version: 1, rows, records: BTreeMap::new(), slots: BTreeMap::new() };
        let (queue, outcomes) = (Vec::new(), BTreeMap::new());
        Model { numbers: 0, acknowledged, misheard: None, is_ahead: false, queue, outcomes, fault: None }
    }

    fn enqueue(&mut self, rows: u8, what: Option<What>, is_owed: bool) -> Waiting {
        self.numbers += 1;
        let waiting = Waiting { number: self.numbers, rows, what, is_owed };
        self.queue.push(waiting.clone());
        waiting
    }

    /// Whatever is done next finds the files closed after a failure, and takes back what was misheard.
    fn recover(&mut self) {
        (self.misheard, self.is_ahead) = (None, false);
    }

    fn flush(&mut self) {
        self.recover();
        if self.queue.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut self.queue);
        match self.fault.take() {
            None => {
                let firsts = self.acknowledged.write(&waiting);
                self.outcomes.extend(waiting.iter().map(|one| one.number).zip(firsts.into_iter().map(Some)));
            }
            Some(fault) => {
                if fault == Fault::Misheard {
                    let mut files = self.acknowledged.clone();
                    files.write(&waiting);
                    self.misheard = Some(files);
                }
                self.outcomes.extend(waiting.iter().map(|one| (one.number, None)));
                self.queue = waiting.into_iter().filter(|one| one.is_owed).collect();
            }
        }
    }

    fn settle(&mut self, number: u64) -> Option<u64> {
        if !self.outcomes.contains_key(&number) {
            self.flush();
        }
        self.outcomes.remove(&number).unwrap()
    }

    fn set(&mut self, fault: Fault) {
        self.recover();
        // A write that is refused never comes to its commit.
        self.fault = Some(if self.fault == Some(Fault::Refused) { Fault::Refused } else { fault });
    }

    fn crash(&mut self) {
        if let Some(files) = self.misheard.take() {
            (self.acknowledged, self.is_ahead) = (files, true);
        }
        (self.fault, self.queue, self.outcomes) = (None, Vec::new(), BTreeMap::new());
    }
}

/// The real one.
struct Real {
    bed: Bed,
    tickets: BTreeMap<u64, Ticket>,
}

impl Real {
    fn enqueue(&mut self, waiting: &Waiting) {
        let entries = (0..waiting.rows).map(|at| entry(&body(waiting.number, at))).collect();
        let number = waiting.number;
        let changes = waiting.what.map(|what| match what {
            What::Put(table, id) => Change::Put(table, row(id, number)),
            What::Delete(table, id) => Change::Delete(table, Id([id; 16])),
            What::PutSlot(id) => Change::PutSlot(slot(id, number)),
            What::DeleteSlot(id) => Change::DeleteSlot(id),
        });
        let changes = changes.into_iter().collect();
        let ticket = match waiting.is_owed {
            true => self.bed.ledger.owe("test", UnixMs(0), entries, changes),
            false => self.bed.ledger.enqueue(UnixMs(0), entries, changes),
        };
        self.tickets.insert(number, ticket);
    }

    fn settle(&mut self, number: u64) -> Result<Vec<Receipt>, Unavailable> {
        self.bed.ledger.settle(self.tickets.remove(&number).unwrap())
    }

    fn again(self, open: impl FnOnce(Bed) -> Bed) -> Real {
        Real { bed: open(self.bed), tickets: BTreeMap::new() }
    }
}

fn body(number: u64, at: u8) -> String {
    format!("{number}/{at}")
}

fn take(mut real: Real, model: &mut Model, step: Step) -> Real {
    match step {
        Step::Enqueue(rows, what) => real.enqueue(&model.enqueue(rows, what, false)),
        Step::Owe(rows, what) => real.enqueue(&model.enqueue(rows, what, true)),
        Step::Settle(which) if !real.tickets.is_empty() => {
            let number = *real.tickets.keys().nth(usize::from(which) % real.tickets.len()).unwrap();
            settles_alike(&mut real, model, number);
        }
        Step::Settle(_) => (),
        Step::Tend => {
            real.bed.ledger.tend().unwrap();
            model.flush();
            model.recover();
        }
        Step::Scrub => {
            real.bed.ledger.scrub().unwrap();
            model.recover();
        }
        Step::Read => {
            let rows = real.bed.ledger.rows(0, 10_000).unwrap().into_iter().map(|row| row.body);
            assert_eq!(rows.collect::<Vec<_>>(), model.acknowledged.rows);
            assert_eq!(real.bed.ledger.verify().unwrap().last.seq, model.acknowledged.rows.len() as u64);
            model.recover();
        }
        Step::Refuse => {
            real.bed.ledger.refuse_next_write();
            model.set(Fault::Refused);
        }
        Step::Mishear => {
            real.bed.ledger.mishear_next_commit();
            model.set(Fault::Misheard);
        }
        Step::Crash => {
            real = real.again(Bed::crashed);
            model.crash();
        }
        Step::Close => real = close(real, model),
    }
    real
}

/// Both say the same of one who waits.
fn settles_alike(real: &mut Real, model: &mut Model, number: u64) {
    let told = real.settle(number).ok().map(|receipts| receipts[0].seq);
    assert_eq!(told, model.settle(number), "row {number}");
}

/// As a lock does it: a last row, what is owed, and the end.
fn close(mut real: Real, model: &mut Model) -> Real {
    let last = model.enqueue(1, None, false);
    real.enqueue(&last);
    settles_alike(&mut real, model, last.number);
    for _ in 0..2 {
        real.bed.ledger.tend().unwrap();
        model.flush();
        model.recover();
    }
    assert!(model.queue.is_empty());
    model.crash();
    real.again(Bed::closed_and_opened)
}

/// The files say what the model says, and the anchor is as near as it must be.
fn agree(real: &Real, model: &Model) {
    let Content { state_version, rows, records, slots, anchored } = real.bed.content();
    let expected = model.misheard.as_ref().unwrap_or(&model.acknowledged);
    assert_eq!(rows, expected.rows);
    assert_eq!(
        (state_version, records, slots),
        (expected.state_version, expected.records.clone(), expected.slots.clone())
    );
    let acknowledged = (model.acknowledged.state_version, model.acknowledged.rows.len() as u64);
    assert!(anchored.0 == acknowledged.0 || model.is_ahead, "the anchor is at {anchored:?}");
    assert!(anchored.1 <= acknowledged.1 && acknowledged.1 < anchored.1 + 256, "the anchor is at {anchored:?}");
    let standing = real.bed.ledger.standing();
    assert_eq!((standing.state.state_version, standing.tail.seq), acknowledged);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_and_its_model_agree_after_every_step(steps in steps()) {
        let mut real = Real { bed: Bed::new(), tickets: BTreeMap::new() };
        let mut model = Model::new();
        for step in steps {
            real = take(real, &mut model, step);
            agree(&real, &model);
        }
    }
}
