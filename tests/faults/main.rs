//! Faults, each as a program that anyone can run: the daemon is killed, its disk fails, fills up or loses its power, its
//! clock jumps, and what it ever acknowledged must hold all the same.
//!
//! `make faults-short` is part of `make check`; `make faults` takes an hour. `cargo test --test faults -- --list` says
//! what there is, and `cargo test --test faults -- t66 --rounds 50 --seed 7` runs one as long as wanted. What a program
//! needs of the machine (root, strace, a C compiler) it says when it is not there, and fails.

#![allow(clippy::unwrap_used, reason = "a test that can't go on says so by panicking")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "programs that say what they found")]

mod arguments;
mod clock;
mod descriptors;
mod disk;
mod errors;
mod full_disk;
mod kill;
mod power;
mod random;
mod read_only;
mod run;
mod second;
mod steps;
mod stopped;
mod story;
#[path = "../it/support/mod.rs"]
#[allow(dead_code, reason = "shared with the tests in tests/it, which use the rest")]
mod support;
mod trace;
mod vaults;
mod witness;

use arguments::{Arguments, Length, USAGE};
use run::{Program, Run};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

/// Rounds of the one program that a plain `cargo test` runs.
const ROUNDS_OF_A_PLAIN_RUN: usize = 20;

macro_rules! programs {
    ($($module:ident::$name:ident, short $short:literal, full $full:literal, $about:literal;)*) => {
        [$(Program { name: stringify!($name), about: $about, short: $short, full: $full, run: $module::$name },)*]
    };
}

fn programs() -> Vec<Program> {
    Vec::from(programs![
        kill::t66_what_was_acknowledged_survives_a_kill, short 100, full 1000,
            "kill -9 while 16 connections sign and an admin works; a round is one kill";
        power::t78_what_was_acknowledged_survives_a_power_cut, short 40, full 600,
            "the disk as a power cut leaves it, replayed from a recording; a round is one cut";
        errors::t67_each_call_that_fails_is_a_typed_refusal_and_heals, short 60, full 10_000,
            "EIO or ENOSPC at call N of each kind on the vault's files; a round is one such call";
        errors::t69_short_and_interrupted_calls_change_nothing, short 10, full 30,
            "EINTR again and again, short reads and writes; a round is a story told under them";
        steps::t21_an_init_that_is_killed_leaves_nothing_or_a_vault, short 12, full 10_000,
            "init is killed; a round is one call before which it dies";
        steps::t21_a_restore_that_is_killed_leaves_nothing_or_a_vault, short 30, full 10_000,
            "restore is killed; a round is one call before which it dies";
        steps::t21_a_password_change_that_is_killed_leaves_exactly_one_password, short 12, full 10_000,
            "the daemon is killed while the password or the vault key changes; a round is one call before which it dies";
        full_disk::t68_a_disk_that_fills_up_refuses_and_heals, short 16, full 256,
            "the disk is full; a round is one level of what is left, locked while it is full or not";
        full_disk::t68_a_reserve_is_kept_for_cancels_and_the_admin, short 1, full 10,
            "a disk with a reserve is full; a round is once that";
        full_disk::t68_little_space_is_cancel_only, short 1, full 10,
            "a disk with little space; a round is once that";
        read_only::t70_a_disk_that_becomes_read_only_signs_nothing_and_heals, short 3, full 30,
            "read-only under load, at rest, and an anchor that nobody may change; a round is one of these";
        clock::t71_a_clock_that_jumps_signs_nothing_and_heals, short 7, full 28,
            "the wall clock jumps, stands still, shows another century; a round is one of those";
        stopped::t72_what_was_asked_before_a_stop_is_not_signed_after_it, short 1, full 2,
            "the daemon is stopped and goes on; a round is one stop, of 5 s in a short run and of 60 s in a full one";
        descriptors::t73_thousands_of_connections_do_not_spin_it_or_shut_its_admin_out, short 1500, full 10_000,
            "a crowd and 40 file descriptors; a round is one connection";
        second::t77_nothing_else_touches_the_vault_of_a_running_daemon, short 1, full 10,
            "a second daemon, init and restore beside one that runs; a round is one try of each";
    ])
}

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(unknown) => {
            eprintln!("not understood: {unknown}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let meant: Vec<Program> = programs().into_iter().filter(|program| arguments.mean(program)).collect();
    if arguments.list {
        println!("{USAGE}\n");
        for Program { name, about, short, full, .. } in meant {
            println!("{name}\n    {about}; {short} rounds short, {full} full");
        }
        return ExitCode::SUCCESS;
    }
    if meant.is_empty() && arguments.are_for_us_alone() {
        eprintln!("no program has such a name\n{USAGE}");
        return ExitCode::from(2);
    }
    // What a panic says becomes a failure of its round; here only where it was.
    std::panic::set_hook(Box::new(|panic| {
        if let Some(place) = panic.location() {
            eprintln!("  at {place}");
        }
    }));
    run_all(&meant, &arguments)
}

fn run_all(meant: &[Program], arguments: &Arguments) -> ExitCode {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let seed = arguments.seed.unwrap_or(now);
    let is_plain = arguments.names.is_empty() && !arguments.are_for_us_alone();
    let meant = if is_plain { &meant[..1] } else { meant };
    let mut failed = Vec::new();
    for program in meant {
        let is_short = arguments.length != Some(Length::Full);
        let usual = if is_short { program.short } else { program.full };
        let rounds = if is_plain { ROUNDS_OF_A_PLAIN_RUN } else { arguments.rounds.unwrap_or(usual) };
        if !program.passes(Run::new(rounds, is_short, seed), seed) {
            failed.push(program.name);
        }
    }
    for name in &failed {
        println!("FAILED: {name}; again: cargo test --test faults -- {name} --seed {seed}");
    }
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
