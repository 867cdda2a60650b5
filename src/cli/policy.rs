//! `policy`: what bots may have signed, set from a file and shown back in words.

use crate::cli::connect::item_path;
use crate::cli::context::Context;
use crate::cli::report::{Failure, visible, with_causes};
use crate::cli::table::table;
use crate::policy;
use crate::wire::{PolicyCard, PolicySet};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// `policy`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make or replace a policy
    Set {
        /// The policy
        name: String,
        /// A policy file (TOML)
        file: PathBuf,
    },
    /// List the policies
    List,
    /// Show a policy in words
    Show {
        /// The policy
        name: String,
    },
    /// Remove a policy that no bot is under
    Remove {
        /// The policy
        name: String,
    },
}

/// Does what was asked with policies.
pub fn run(command: Command, context: &Context) -> Result<(), Failure> {
    let admin = context.admin();
    match command {
        Command::Set { name, file } => {
            let text = read(&context.env.absolute(&file))?;
            let card: PolicyCard = admin.put(&item_path("/v1/policies", &name), &PolicySet { text })?;
            context.report.data(&card, |_| String::new())
        }
        Command::List => {
            let cards: Vec<PolicyCard> = admin.get("/v1/policies")?;
            context.report.data(&cards, |cards| listed(cards))
        }
        Command::Show { name } => context.report.data(&admin.get(&item_path("/v1/policies", &name))?, shown),
        Command::Remove { name } => {
            admin.delete::<Value>(&item_path("/v1/policies", &name))?;
            Ok(())
        }
    }
}

/// A policy file's text, once it is known to be one: its errors are better told with the file at hand.
fn read(path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::failed(format!("cannot read {}: {error}", path.display()), "check the path"))?;
    match policy::parse::parse(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(Failure::failed(
            format!("{} is not a policy: {}", path.display(), with_causes(&error)),
            "correct the file; a policy that is missing something allows less, never more",
        )),
    }
}

fn grants(card: &PolicyCard) -> String {
    card.grants.iter().map(|grant| grant.as_str()).collect::<Vec<_>>().join(",")
}

fn listed(cards: &[PolicyCard]) -> String {
    let row = |card: &PolicyCard| [card.name.clone(), card.version.to_string(), grants(card), card.bots.join(",")];
    table(["NAME", "VERSION", "GRANTS", "BOTS"], &cards.iter().map(row).collect::<Vec<_>>())
}

fn shown(card: &PolicyCard) -> String {
    let words: String = card.words.iter().map(|line| format!("{}\n", visible(line))).collect();
    let bots = if card.bots.is_empty() { "no bot".to_owned() } else { card.bots.join(", ") };
    format!("{} (version {}, for {bots})\n{words}", card.name, card.version)
}
