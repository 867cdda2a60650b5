//! `.env` files: `NAME=value` lines with an optional `export `, quotes and comments. Nothing is interpolated: a `$` in a
//! secret is a `$`.

use super::ImportError;
use crate::secret::SecretText;

/// One assignment.
pub struct Assignment<'a> {
    /// The variable.
    pub name: &'a str,
    /// The line it stands on, from 1.
    pub line: usize,
    /// How the value is written.
    written: Written<'a>,
}

/// How a value is written.
enum Written<'a> {
    /// As it is: unquoted, or in single quotes.
    Plain(&'a str),
    /// In double quotes, where a backslash escapes.
    Escaped(&'a str),
}

impl Assignment<'_> {
    /// The value.
    pub fn value(&self) -> SecretText {
        match self.written {
            Written::Plain(text) => SecretText::new(text.to_owned()),
            Written::Escaped(text) => SecretText::new(unescaped(text)),
        }
    }
}

/// Reads all assignments.
pub fn parse(text: &str) -> Result<Vec<Assignment<'_>>, ImportError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    let says_something = |(_, line): &(usize, &str)| !line.is_empty() && !line.starts_with('#');
    lines.filter(says_something).map(|(number, line)| assignment(line, number)).collect()
}

fn assignment(text: &str, line: usize) -> Result<Assignment<'_>, ImportError> {
    let unexported = text.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t']));
    let (name, value) = unexported.unwrap_or(text).split_once('=').ok_or(ImportError::Line(line))?;
    let name = name.trim();
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if name.is_empty() || !name.chars().all(letter) {
        return Err(ImportError::Line(line));
    }
    let written = written(value.trim()).ok_or(ImportError::Line(line))?;
    Ok(Assignment { name, line, written })
}

fn written(value: &str) -> Option<Written<'_>> {
    if let Some(rest) = value.strip_prefix('\'') {
        let (text, after) = rest.split_once('\'')?;
        return only_a_comment(after).then_some(Written::Plain(text));
    }
    if let Some(rest) = value.strip_prefix('"') {
        let end = closing_quote(rest)?;
        return only_a_comment(&rest[end + 1..]).then_some(Written::Escaped(&rest[..end]));
    }
    Some(Written::Plain(uncommented(value)))
}

/// Where the first double quote is that no backslash escapes.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

/// An unquoted value without its comment, which begins at a `#` after white space: a `#` inside a secret stays.
fn uncommented(value: &str) -> &str {
    let starts = |(at, _): &(usize, char)| *at == 0 || value[..*at].ends_with([' ', '\t']);
    let comment = value.char_indices().filter(|(_, c)| *c == '#').find(starts);
    comment.map_or(value, |(at, _)| value[..at].trim_end())
}

fn only_a_comment(after: &str) -> bool {
    let after = after.trim_start();
    after.is_empty() || after.starts_with('#')
}

/// `\n`, `\r` and `\t` as in most readers; before any other character the backslash only escapes.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some(other) => other,
                None => '\\',
            },
            other => other,
        });
    }
    plain
}
