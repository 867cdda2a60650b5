//! The table as files: Markdown for people, JSON for programs.

use crate::Outcome;
use crate::bounds;
use crate::rounds::{Group, Spread};
use crate::table;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Everything that was measured.
#[derive(Default, Serialize)]
pub struct Results {
    /// What it was measured on.
    pub machine: String,
    /// Comparisons, each with the bare server.
    pub groups: Vec<Group>,
    /// What was measured by itself.
    pub values: BTreeMap<String, Spread>,
}

impl Results {
    /// The comparison of this name.
    pub fn group(&self, key: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.key == key)
    }
}

/// Writes `table.md` and `table.json` into a directory, and the end of the table to the terminal.
pub fn write(results: &Results, directory: &Path) -> Outcome<()> {
    let mut end = String::from("\n### By themselves\n\n| | median | least | most |\n|---|---|---|---|\n");
    for (name, spread) in &results.values {
        let Spread { median, least, most } = spread;
        end.push_str(&format!("| {name} | {median:.2} | {least:.2} | {most:.2} |\n"));
    }
    end.push_str(&bounds::table(results));
    println!("{end}");
    let groups: String = results.groups.iter().map(table::group).collect();
    let text = format!("# signvault beside others\n\n{}\n\n{}\n{groups}{end}", table::HEAD, results.machine);
    let checks = bounds::checks(results);
    let json = serde_json::json!({ "results": results, "promises": checks });
    for (name, content) in [("table.md", text), ("table.json", format!("{json:#}\n"))] {
        let path = directory.join(name);
        std::fs::write(&path, content).map_err(|error| format!("{}: {error}", path.display()))?;
        println!("written: {}", path.display());
    }
    Ok(())
}
