//! `bot`: client programs and their tokens. A token is seen once, here.

use crate::cli::connect::item_path;
use crate::cli::context::Context;
use crate::cli::file::PrivateFile;
use crate::cli::report::{Failure, Form, print_secret_json, print_secret_line};
use crate::cli::table::{pairs, table};
use crate::types::duration::parse_seconds;
use crate::types::endpoint::Grant;
use crate::wire::{BotAdd, BotCard, BotToken};
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;

/// `bot`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Add a bot and print its token
    Add(Add),
    /// List the bots
    List,
    /// Show one bot
    Show {
        /// The bot
        name: String,
    },
    /// Give a bot a new token; the old one stops working
    Rotate {
        /// The bot
        name: String,
        /// Write the token to this new file (0600) instead of printing it
        #[arg(long, value_name = "PATH")]
        token_file: Option<PathBuf>,
    },
    /// End a bot's token at once; the bot stays listed
    Revoke {
        /// The bot
        name: String,
    },
    /// Remove a bot
    Remove {
        /// The bot
        name: String,
    },
}

/// `bot add`
#[derive(Debug, clap::Args)]
pub struct Add {
    /// The bot's name
    pub name: String,
    /// A credential that it may use; may be repeated
    #[arg(long = "credential", value_name = "NAME", required = true)]
    pub credentials: Vec<String>,
    /// Its policy [default: reading only]
    #[arg(long, value_name = "NAME")]
    pub policy: Option<String>,
    /// A user id that it may run as, over the Unix socket only; may be repeated
    #[arg(long = "uid", value_name = "N")]
    pub uids: Vec<u32>,
    /// After how long its token stops working: 12h, 90d
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    pub expires: Option<u64>,
    /// Write the token to this new file (0600) instead of printing it
    #[arg(long, value_name = "PATH")]
    pub token_file: Option<PathBuf>,
}

/// Does what was asked with bots.
pub fn run(command: Command, context: &Context) -> Result<(), Failure> {
    let admin = context.admin();
    match command {
        Command::Add(add) => {
            let bot = BotAdd {
                name: add.name,
                credentials: add.credentials,
                policy: add.policy,
                uids: add.uids,
                expires_in_s: add.expires,
            };
            token(add.token_file, context, || Ok(admin.post("/v1/bots", &bot)?))
        }
        Command::List => {
            let bots: Vec<BotCard> = admin.get("/v1/bots")?;
            context.report.data(&bots, |bots| listed(bots))
        }
        Command::Show { name } => context.report.data(&admin.get::<BotCard>(&item_path("/v1/bots", &name))?, card),
        Command::Rotate { name, token_file } => {
            let path = item_path("/v1/bots", &name) + "/rotate";
            token(token_file, context, || Ok(admin.post(&path, &json!({}))?))
        }
        Command::Revoke { name } => {
            let bot: BotCard = admin.post(&(item_path("/v1/bots", &name) + "/revoke"), &json!({}))?;
            context.report.data(&bot, |_| String::new())
        }
        Command::Remove { name } => {
            admin.delete::<Value>(&item_path("/v1/bots", &name))?;
            Ok(())
        }
    }
}

/// Has a token made and hands it over. The file is made first: a token that cannot be kept must not be made.
fn token(
    token_file: Option<PathBuf>,
    context: &Context,
    make: impl FnOnce() -> Result<BotToken, Failure>,
) -> Result<(), Failure> {
    let Some(path) = token_file.map(|path| context.env.absolute(&path)) else {
        let made = make()?;
        return match context.report.form {
            Form::Words => print_secret_line(&made.token),
            Form::Json => print_secret_json(&made),
        };
    };
    let mut file = PrivateFile::create(&path)?;
    let BotToken { id, name, token } = make()?;
    // EXPOSE: the person asked for the token in this file.
    let written = file.write_all(token.expose().as_bytes()).and_then(|()| file.write_all(b"\n"));
    written
        .map_err(|error| Failure::failed(format!("the token is made but cannot be written: {error}"), "rotate it"))?;
    file.sync()?;
    file.keep();
    let place = path.display().to_string();
    context.report.data(&json!({ "id": id, "name": name, "token_file": place }), |_| String::new())
}

fn grants(bot: &BotCard) -> String {
    bot.grants.iter().map(|grant: &Grant| grant.as_str()).collect::<Vec<_>>().join(",")
}

fn state(bot: &BotCard) -> String {
    match &bot.expires {
        _ if bot.revoked => "revoked".to_owned(),
        Some(expires) => format!("until {expires}"),
        None => "active".to_owned(),
    }
}

fn listed(bots: &[BotCard]) -> String {
    let row = |bot: &BotCard| {
        let last_seen = bot.last_seen.clone().unwrap_or_default();
        [bot.name.clone(), state(bot), bot.policy.clone(), grants(bot), bot.credentials.join(","), last_seen]
    };
    let headings = ["NAME", "STATE", "POLICY", "GRANTS", "CREDENTIALS", "LAST SEEN"];
    table(headings, &bots.iter().map(row).collect::<Vec<_>>())
}

fn card(bot: &BotCard) -> String {
    let uids = bot.uids.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    pairs(&[
        ("name", bot.name.clone()),
        ("id", bot.id.clone()),
        ("state", state(bot)),
        ("policy", bot.policy.clone()),
        ("own mode", bot.mode.to_string()),
        ("grants", grants(bot)),
        ("credentials", bot.credentials.join(", ")),
        ("user ids", uids),
        ("created", bot.created.clone()),
        ("last seen", bot.last_seen.clone().unwrap_or_default()),
    ])
}
