//! Tables: told as Markdown while they are made, and kept as Markdown and JSON in `target/scale`.

use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

/// What was measured so far.
#[derive(Default)]
pub struct Report {
    markdown: String,
    json: Map<String, Value>,
}

/// The value in the middle.
pub fn middle(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// The middle, the least and the most of ratios, as one cell.
pub fn spread(values: &[f64]) -> Value {
    let (least, most) = values.iter().fold((f64::MAX, 0.0_f64), |(least, most), at| (least.min(*at), most.max(*at)));
    json!(format!("{:.2} ({least:.2}..{most:.2})", middle(values)))
}

/// A number with two digits behind the point.
pub fn number(value: f64) -> Value {
    json!((value * 100.0).round() / 100.0)
}

pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

pub fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

pub fn mib(kib: u64) -> Value {
    number(kib as f64 / 1024.0)
}

impl Report {
    /// Adds a table, and prints it.
    pub fn table(&mut self, name: &str, about: &str, columns: &[&str], rows: &[Vec<Value>]) {
        let mut text = format!("\n{about}\n\n| {} |\n|{}\n", columns.join(" | "), "---|".repeat(columns.len()));
        for row in rows {
            let cells: Vec<String> = row.iter().map(cell).collect();
            writeln!(text, "| {} |", cells.join(" | ")).unwrap();
        }
        print!("{text}");
        self.markdown.push_str(&text);
        let object = |row: &Vec<Value>| columns.iter().map(|name| (*name).to_owned()).zip(row.clone()).collect();
        let rows: Vec<Map<String, Value>> = rows.iter().map(object).collect();
        self.json.insert(name.to_owned(), json!(rows));
    }

    /// Writes what there is as `NAME.md` and `NAME.json`.
    pub fn write(&self, dir: &Path, name: &str) {
        std::fs::create_dir_all(dir).unwrap();
        std::fs::write(dir.join(format!("{name}.md")), &self.markdown).unwrap();
        std::fs::write(dir.join(format!("{name}.json")), serde_json::to_vec_pretty(&self.json).unwrap()).unwrap();
        println!("\nkept in {}", dir.join(format!("{name}.{{md,json}}")).display());
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}
