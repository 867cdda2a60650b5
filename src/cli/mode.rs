//! `mode`: how much may happen, for everyone or for one bot, whatever policies allow.

use crate::cli::context::Context;
use crate::cli::report::Failure;
use crate::cli::table::pairs;
use crate::types::mode::Mode;
use crate::wire::policy::{ModeSet, Modes};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

/// `mode`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The mode; without one, the modes in force are shown
    #[arg(value_parser = modes())]
    pub mode: Option<Mode>,
    /// Only for this bot; the stricter of its own mode and everyone's holds
    #[arg(long, value_name = "NAME")]
    pub bot: Option<String>,
}

/// The modes by name, for the parser as for help, man pages and completions.
fn modes() -> impl TypedValueParser<Value = Mode> {
    let value = |mode: Mode| PossibleValue::new(mode.as_str()).help(leaves(mode));
    let named = |text: String| Mode::ALL.into_iter().find(|mode| mode.as_str() == text).ok_or("there is no such mode");
    PossibleValuesParser::new(Mode::ALL.map(value)).try_map(named)
}

/// What a mode leaves of what policies allow.
fn leaves(mode: Mode) -> &'static str {
    match mode {
        Mode::Normal => "All that policies allow",
        Mode::ReduceOnly => "Reads, cancels, closing positions, and orders that can only make a position smaller",
        Mode::CancelOnly => "Reads and cancels",
    }
}

/// Sets the mode, or shows the modes in force.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let admin = context.admin();
    let Some(mode) = args.mode else {
        let mut modes: Modes = admin.get("/v1/mode")?;
        if let Some(bot) = args.bot {
            let card: crate::wire::BotCard = admin.get(&crate::cli::connect::item_path("/v1/bots", &bot))?;
            modes.bots = [(card.name, card.mode)].into();
        }
        return context.report.data(&modes, words);
    };
    let modes: Modes = admin.put("/v1/mode", &ModeSet { mode, bot: args.bot })?;
    context.report.data(&modes, words)?;
    if mode != Mode::Normal {
        context.report.note(
            "WebSocket sessions that are open live on: only the exchange can end them, by deleting the key or by their own logout",
        );
    }
    Ok(())
}

fn words(modes: &Modes) -> String {
    let bots = modes.bots.iter().map(|(bot, mode)| (bot.as_str(), mode.to_string()));
    // Shown only when it holds: a disk with space is no news.
    let disk = (modes.disk != Mode::Normal).then(|| ("everyone, by the disk", modes.disk.to_string()));
    let lines: Vec<_> = [("everyone", modes.mode.to_string())].into_iter().chain(disk).chain(bots).collect();
    pairs(&lines)
}
