//! `recipe`: what is known of an exchange, and whether it agrees with signatures that other programs made.

use crate::cli::report::{Exit, Failure, Report, visible};
use crate::cli::table::{pairs, table};
use crate::recipe::endpoint::Listed;
use crate::recipe::template::Piece;
use crate::recipe::vectors::{self, Report as Checked};
use crate::recipe::{Recipe, Region, built_in, built_in_names};
use crate::types::endpoint::Effect;
use serde_json::{Value, json};
use std::path::PathBuf;

/// `recipe`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the exchanges
    List,
    /// Show how an exchange signs, and its endpoints by grant
    Show {
        /// The exchange
        name: String,
    },
    /// Check a recipe against known answers, one JSON object per line
    Test {
        /// The file of known answers
        file: PathBuf,
        /// The exchange
        #[arg(long, value_name = "NAME", default_value = "okx")]
        exchange: String,
    },
}

/// Does what was asked with recipes.
pub fn run(command: Command, report: &Report) -> Result<(), Failure> {
    match command {
        Command::List => {
            let recipes = built_in_names().map(recipe).collect::<Result<Vec<_>, _>>()?;
            let data: Vec<Value> = recipes.iter().map(in_short).collect();
            report.data(&data, |_| listed(&recipes))
        }
        Command::Show { name } => {
            let recipe = recipe(&name)?;
            report.data(&in_full(&recipe), |_| shown(&recipe))
        }
        Command::Test { file, exchange } => test(&file, &exchange, report),
    }
}

fn recipe(name: &str) -> Result<Recipe, Failure> {
    let unknown = || Failure::failed("there is no recipe of that name", "signvault recipe list shows what there is");
    let parsed = Recipe::parse(built_in(name).ok_or_else(unknown)?);
    parsed.map_err(|error| Failure::failed(format!("the recipe is broken at {error}"), "use another build"))
}

fn regions(recipe: &Recipe) -> String {
    recipe.regions().iter().map(|region| region.name.to_string()).collect::<Vec<_>>().join(",")
}

fn in_short(recipe: &Recipe) -> Value {
    json!({
        "name": recipe.name(),
        "title": recipe.title(),
        "regions": recipe.regions().iter().map(|region| &region.name).collect::<Vec<_>>(),
        "endpoints": recipe.endpoints().len(),
        "digest": recipe.digest(),
    })
}

fn listed(recipes: &[Recipe]) -> String {
    let row = |recipe: &Recipe| {
        [recipe.name().to_owned(), recipe.title().to_owned(), regions(recipe), recipe.endpoints().len().to_string()]
    };
    table(["NAME", "EXCHANGE", "REGIONS", "ENDPOINTS"], &recipes.iter().map(row).collect::<Vec<_>>())
}

fn in_full(recipe: &Recipe) -> Value {
    let endpoint = |listed: &&Listed| {
        json!({
            "method": listed.endpoint.method,
            "path": listed.endpoint.path,
            "grant": listed.endpoint.grant,
            "effect": listed.endpoint.effect,
            "permission": listed.permission,
            "title": listed.title,
            "danger": listed.danger,
            "note": listed.note,
        })
    };
    let mut full = in_short(recipe);
    full["prehash"] = json!(signed_text(recipe));
    full["endpoints"] = recipe.endpoints().iter().map(endpoint).collect();
    full
}

fn shown(recipe: &Recipe) -> String {
    let credential = recipe.credential();
    let parts: Vec<&str> = credential.parts.iter().map(|part| part.name.as_str()).collect();
    let head = pairs(&[
        ("exchange", recipe.title().to_owned()),
        ("credential", parts.join(", ")),
        ("signed text", signed_text(recipe)),
        ("session", recipe.session_endpoint().map(|endpoint| endpoint.to_string()).unwrap_or_default()),
        ("digest", recipe.digest().to_owned()),
    ]);
    let addresses: Vec<[String; 3]> = recipe.regions().iter().flat_map(addresses).collect();
    let endpoints: Vec<[String; 5]> = recipe.endpoints().iter().map(|listed| row(listed)).collect();
    format!(
        "{head}\n{}\n{}",
        table(["REGION", "ENVIRONMENT", "ADDRESS"], &addresses),
        table(["GRANT", "ENDPOINT", "EFFECT", "PERMISSION", "DANGER"], &endpoints)
    )
}

/// The template of the text that is signed, as a recipe has it.
fn signed_text(recipe: &Recipe) -> String {
    let written = |piece: &Piece| match piece {
        Piece::Literal(text) => text.to_string(),
        Piece::Field(field) => field.to_string(),
    };
    recipe.prehash().pieces().iter().map(written).collect()
}

fn addresses(region: &Region) -> Vec<[String; 3]> {
    let environments = [("live", &region.live), ("demo", &region.demo)];
    let row = |(name, addresses): (&str, &Option<crate::recipe::Addresses>)| {
        addresses.as_ref().map(|addresses| [region.name.to_string(), name.to_owned(), addresses.rest.to_string()])
    };
    environments.into_iter().filter_map(row).collect()
}

fn row(listed: &Listed) -> [String; 5] {
    let effect = match listed.endpoint.effect {
        Effect::None => "",
        Effect::Place => "place",
        Effect::Amend => "amend",
        Effect::Cancel => "cancel",
        Effect::Close => "close",
    };
    let text = |text: &Option<Box<str>>| text.as_deref().unwrap_or_default().to_owned();
    let endpoint = listed.endpoint.to_string();
    [listed.endpoint.grant.to_string(), endpoint, effect.to_owned(), text(&listed.permission), text(&listed.danger)]
}

fn test(file: &std::path::Path, exchange: &str, report: &Report) -> Result<(), Failure> {
    let recipe = recipe(exchange)?;
    let lines = std::fs::read_to_string(file)
        .map_err(|error| Failure::failed(format!("cannot read {}: {error}", file.display()), "check the path"))?;
    let checked = vectors::check(&recipe, &lines).map_err(|error| {
        Failure::failed(format!("{}: {error}", file.display()), "each line is one vector, a JSON object")
    })?;
    report.data(&as_json(&checked), |_| words(&checked))?;
    let left_alone: usize = checked.other_exchanges.values().sum();
    if left_alone > 0 {
        report.note(&format!("left alone, for other exchanges: {left_alone}"));
    }
    match checked.failures.len() {
        0 => Ok(()),
        failed => Err(Failure::new(
            Exit::Failed,
            "cli.vectors_failed",
            format!("{failed} vectors do not agree with the recipe"),
            "compare what was expected with what came out",
        )),
    }
}

fn as_json(checked: &Checked) -> Value {
    let failure =
        |failure: &vectors::Failure| json!({ "id": failure.id, "expected": failure.expected, "got": failure.got });
    json!({
        "passed": checked.passed,
        "failed": checked.failures.len(),
        "failures": checked.failures.iter().map(failure).collect::<Vec<_>>(),
        "other_exchanges": checked.other_exchanges,
    })
}

fn words(checked: &Checked) -> String {
    let mut words = format!("{} passed, {} failed\n", checked.passed, checked.failures.len());
    for failure in &checked.failures {
        let lines = format!("{}\n  expected {}\n  got      {}\n", failure.id, failure.expected, failure.got);
        words.push_str(&visible(&lines));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_is_shown_with_both_sides() {
        let failures = vec![vectors::Failure { id: "v-1".into(), expected: "A: b".into(), got: "A: c".into() }];
        let checked = Checked { passed: 2, failures, ..Checked::default() };
        assert_eq!(words(&checked), "2 passed, 1 failed\nv-1\n  expected A: b\n  got      A: c\n");
    }

    #[test]
    fn a_recipe_is_shown_by_grant_with_its_addresses() {
        let shown = shown(&recipe("okx").unwrap());
        let at = |text: &str| shown.find(text).unwrap_or_else(|| panic!("{text} is not shown"));
        assert!(at("https://www.okx.com") < at("\nread "));
        assert!(at("\nread ") < at("\ntrade ") && at("\ntrade ") < at("\nwithdraw "));
        assert!(shown.contains("POST /api/v5/trade/order "));
    }
}
