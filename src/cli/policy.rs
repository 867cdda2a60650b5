//! `policy`: what bots may have signed, set from a file and shown back in words.

mod trial;

use crate::cli::connect::item_path;
use crate::cli::context::Context;
use crate::cli::report::{Failure, visible, with_causes};
use crate::cli::table::table;
use crate::policy::raw::PolicyError;
use crate::policy::{self, Policy};
use crate::recipe::{Recipe, built_in, built_in_names};
use crate::wire::policy::{PolicyCard, PolicyChange, PolicySet, PolicyWasSet, ReferenceSet};
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// `policy`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make or replace a policy, and show what it means and what changed
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
    /// Show what a policy file would say to asks from a file, one JSON object per line; needs no daemon
    Test {
        /// A policy file (TOML)
        file: PathBuf,
        /// The asks: {"method", "path", "body"} as a bot posts them
        asks: PathBuf,
        /// The exchange that the asks are for
        #[arg(long, value_name = "NAME", default_value = "okx")]
        exchange: String,
    },
    /// The prices that orders are compared with
    #[command(subcommand)]
    Reference(Reference),
}

/// `policy reference`
#[derive(Debug, clap::Subcommand)]
pub enum Reference {
    /// Give the price of an instrument as of now, in place of the policy's last one
    Set {
        /// The policy
        name: String,
        /// The instrument, as the exchange writes it
        instrument: String,
        /// The price, in quote currency
        price: String,
    },
}

/// Does what was asked with policies.
pub fn run(command: Command, context: &Context) -> Result<(), Failure> {
    let admin = context.admin();
    match command {
        Command::Set { name, file } => {
            let (policy, text) = parse(&context.env.absolute(&file))?;
            let set: PolicyWasSet = admin.put(&item_path("/v1/policies", &name), &PolicySet { text })?;
            context.report.data(&set, was_set)?;
            context.report.warnings(&in_vain(&policy, &recipes()?));
            Ok(())
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
        Command::Test { file, asks, exchange } => {
            trial::run(&context.env.absolute(&file), &context.env.absolute(&asks), &exchange, &context.report)
        }
        Command::Reference(Reference::Set { name, instrument, price }) => {
            let references = format!("{}/references", item_path("/v1/policies", &name));
            let card: PolicyCard = admin.put(&item_path(&references, &instrument), &ReferenceSet { price })?;
            context.report.data(&card, |_| String::new())
        }
    }
}

/// A policy file and its text, once it is known to be one: its errors are better told with the file at hand.
fn parse(path: &Path) -> Result<(Policy, String), Failure> {
    let text = read(path)?;
    let recipes = recipes()?;
    let is_instrument = |name: &str| recipes.iter().any(|recipe| recipe.is_instrument(name));
    match policy::parse::parse(&text, &is_instrument) {
        Ok(policy) => Ok((policy, text)),
        Err(error) => Err(refused(path, &with_causes(&error))),
    }
}

fn refused(path: &Path, why: &str) -> Failure {
    Failure::failed(format!("{} is not a policy: {why}", path.display()), "correct the file; nothing was changed")
}

/// The text of a file. No more of it is read than a policy may have: it could be a device without an end.
fn read(path: &Path) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(policy::raw::MAX_BYTES as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| Failure::failed(format!("cannot read {}: {error}", path.display()), "check the path"))?;
    if bytes.len() > policy::raw::MAX_BYTES {
        return Err(refused(path, &PolicyError::TooLong.to_string()));
    }
    String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].split(|byte| *byte == b'\n').count();
        refused(path, &format!("line {line}: not UTF-8; save it in that encoding"))
    })
}

/// The endpoints of a policy that can't be asked for by it: misspelt, or without their grant. Policies do not know
/// exchanges, so it is no error; but whoever wrote it meant something else.
fn in_vain(policy: &Policy, recipes: &[Recipe]) -> Vec<String> {
    let listed = |name: &str| {
        let mut all = recipes.iter().flat_map(Recipe::endpoints);
        all.find(|listed| listed.endpoint.to_string() == name).map(|listed| listed.endpoint.grant)
    };
    let caution = |name: &String| match listed(name) {
        None => Some(format!("no exchange has {name}; `signvault recipe show` lists all there are")),
        Some(grant) if !policy.grants.contains(&grant) => {
            Some(format!("{name} stays denied: it needs the grant `{grant}`"))
        }
        Some(_) => None,
    };
    policy.endpoints.iter().flatten().filter_map(caution).collect()
}

/// Every recipe that comes with the program.
fn recipes() -> Result<Vec<Recipe>, Failure> {
    let parsed = built_in_names().filter_map(built_in).map(Recipe::parse).collect::<Result<Vec<_>, _>>();
    parsed.map_err(|error| Failure::failed(format!("a recipe is broken at {error}"), "use another build"))
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
    let references: String = card
        .references
        .iter()
        .map(|(instrument, found)| format!("reference price of {instrument}: {} as of {}\n", found.price, found.given))
        .collect();
    let bots = if card.bots.is_empty() { "no bot".to_owned() } else { card.bots.join(", ") };
    format!("{} (version {}, for {bots})\n{words}{}", card.name, card.version, visible(&references))
}

fn was_set(set: &PolicyWasSet) -> String {
    let change = |change: &PolicyChange| format!("  {}: {}\n", change.direction, visible(&change.words));
    let changes: String = match (set.is_new, set.changes.is_empty()) {
        (true, _) => "this policy is new\n".to_owned(),
        (false, true) => "this is what it said before\n".to_owned(),
        (false, false) => {
            format!("against the version before:\n{}", set.changes.iter().map(change).collect::<String>())
        }
    };
    format!("{}{changes}", shown(&set.policy))
}
