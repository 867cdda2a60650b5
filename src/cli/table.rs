//! Aligned plain text: rows under headings, and lines of a name and a value.

use crate::cli::report::visible;

/// Rows under headings, each column as wide as its widest cell. No rows, no headings.
pub fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let rows: Vec<[String; N]> = rows.iter().map(|row| row.each_ref().map(|cell| one_line(cell))).collect();
    let mut widths = headings.map(|heading| heading.chars().count());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let headings = headings.map(str::to_owned);
    std::iter::once(&headings).chain(&rows).map(|row| aligned(row, &widths)).collect()
}

/// Lines of a name and a value; the values start in one column. Empty values are left out.
pub fn pairs(pairs: &[(&str, String)]) -> String {
    let shown: Vec<_> = pairs.iter().filter(|(_, value)| !value.is_empty()).collect();
    let width = shown.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 2;
    shown.iter().map(|(name, value)| format!("{:width$}{}\n", format!("{name}:"), one_line(value))).collect()
}

fn aligned(row: &[String], widths: &[usize]) -> String {
    let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
    format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
}

fn one_line(text: &str) -> String {
    visible(text).replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a".to_owned(), "live".to_owned()], ["long-name".to_owned(), "demo".to_owned()]];
        assert_eq!(table(["NAME", "ENV"], &rows), "NAME       ENV\na          live\nlong-name  demo\n");
        assert_eq!(table(["NAME"], &[]), "");
    }

    #[test]
    fn a_cell_stays_on_its_line() {
        assert_eq!(table(["X"], &[["a\nb\x07".to_owned()]]), "X\na\\nb\\u{7}\n");
    }

    #[test]
    fn values_start_in_one_column_and_empty_ones_are_left_out() {
        let lines = [("name", "main".to_owned()), ("label", String::new()), ("environment", "live".to_owned())];
        assert_eq!(pairs(&lines), "name:        main\nenvironment: live\n");
    }
}
