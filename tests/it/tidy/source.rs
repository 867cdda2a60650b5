//! The sources as tidy's rules see them: code without comments and texts, tests cut away, lines where they were.

use std::path::{Path, PathBuf};

/// A file of `src/`.
pub struct Source {
    /// From the package's root: `src/vault/sign.rs`.
    pub path: String,
    /// As it stands on disk.
    pub text: String,
    /// Without tests and comments; texts keep their words.
    pub uncommented: String,
    /// Without tests, comments and the inside of texts.
    pub code: String,
}

impl Source {
    /// A file, and the byte ranges of its tests.
    pub fn new(path: &str, text: &str) -> (Source, Vec<(usize, usize)>) {
        let code = blanked(text, true);
        let tests = test_items(&code);
        let (code, uncommented) = (without(&code, &tests), without(&blanked(text, false), &tests));
        (Source { path: path.to_owned(), text: text.to_owned(), uncommented, code }, tests)
    }
}

/// The package's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below a directory of the package, sorted, but for what is built or fetched.
pub fn files_below(directory: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut waiting = vec![root().join(directory)];
    while let Some(directory) = waiting.pop() {
        for entry in std::fs::read_dir(&directory).expect("a directory of the package") {
            let entry = entry.expect("an entry");
            let name = entry.file_name();
            let made = ["target", ".git", ".venv", "node_modules", "__pycache__"];
            let kind = entry.file_type().expect("a kind");
            if kind.is_dir() && !made.iter().any(|made| name == *made) {
                waiting.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    files
}

/// A path as the rules write it.
pub fn shown(path: &Path) -> String {
    path.strip_prefix(root()).expect("inside the package").to_str().expect("UTF-8").to_owned()
}

/// Every file of `src/` that is not a test's.
pub fn sources() -> Vec<Source> {
    let paths: Vec<String> = files_below("src").iter().map(|path| shown(path)).collect();
    let all = paths.iter().filter(|path| path.ends_with(".rs")).map(|path| {
        let text = std::fs::read_to_string(root().join(path)).expect("UTF-8");
        Source::new(path, &text)
    });
    let all: Vec<_> = all.collect();
    let of_tests: Vec<String> = all.iter().flat_map(|(source, tests)| files_of_tests(source, tests)).collect();
    let is_of_tests = |path: &String| {
        of_tests.contains(path) || of_tests.iter().any(|test| path.starts_with(test.trim_end_matches("mod.rs")))
    };
    all.into_iter().map(|(source, _)| source).filter(|source| !is_of_tests(&source.path)).collect()
}

/// The files that a file declares as `#[cfg(test)] mod name;`: the file of that name, or all in the directory of that name.
fn files_of_tests(source: &Source, tests: &[(usize, usize)]) -> Vec<String> {
    let directory = match source.path.strip_suffix("/mod.rs").or(source.path.strip_suffix("/lib.rs")) {
        Some(directory) => directory,
        None => source.path.trim_end_matches(".rs"),
    };
    let declared = tests.iter().filter_map(|(start, end)| source.text[*start..*end].trim().strip_suffix(';'));
    declared
        .filter_map(|item| item.split("mod ").nth(1))
        .flat_map(|name| [format!("{directory}/{name}.rs"), format!("{directory}/{name}/mod.rs")])
        .collect()
}

/// The byte ranges of items under `#[cfg(test)]`.
fn test_items(code: &str) -> Vec<(usize, usize)> {
    let starts = code.match_indices("#[cfg(test)]").map(|(at, _)| at);
    starts.map(|start| (start, item_end(code, start + "#[cfg(test)]".len()))).collect()
}

/// The end of the item that begins at or after a place: its `;`, or the brace that closes its first one.
fn item_end(code: &str, from: usize) -> usize {
    let stop = code[from..].find([';', '{']).map_or(code.len() - 1, |at| from + at);
    match code.as_bytes()[stop] {
        b'{' => closing_brace(code, stop) + 1,
        _ => stop + 1,
    }
}

/// The brace that closes the one at a place.
pub fn closing_brace(code: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return at,
            b'}' => depth -= 1,
            _ => (),
        }
    }
    code.len() - 1
}

fn without(code: &str, ranges: &[(usize, usize)]) -> String {
    let inside = |at: usize| ranges.iter().any(|(start, end)| (*start..*end).contains(&at));
    let kept = code.char_indices().map(|(at, letter)| if letter != '\n' && inside(at) { ' ' } else { letter });
    kept.collect()
}

/// The text with comments blanked, and with `texts` the inside of literals too. Lines stay where they were.
fn blanked(text: &str, texts: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let (end, blank) = match bytes[at] {
            b'/' if bytes[at..].starts_with(b"//") => (line_end(bytes, at), true),
            b'/' if bytes[at..].starts_with(b"/*") => (comment_end(bytes, at), true),
            b'r' if starts_raw(bytes, at) => (raw_end(bytes, at), texts),
            b'"' => (quoted_end(bytes, at, b'"'), texts),
            b'\'' if is_letter_literal(bytes, at) => (quoted_end(bytes, at, b'\''), texts),
            _ => (at + 1, false),
        };
        if blank {
            out[at..end].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        }
        at = end;
    }
    String::from_utf8(out).expect("whole literals and comments were blanked")
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| at + length)
}

fn comment_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].windows(2).position(|two| two == b"*/").map_or(bytes.len(), |length| at + length + 2)
}

/// `r"`, `r#"`, and so on, where the `r` begins a word (or follows the `b` of `br"`).
fn starts_raw(bytes: &[u8], at: usize) -> bool {
    let before = at.checked_sub(1).map_or(b' ', |before| bytes[before]);
    let hashes = bytes[at + 1..].iter().take_while(|byte| **byte == b'#').count();
    (!is_word(before) || before == b'b') && bytes.get(at + 1 + hashes) == Some(&b'"')
}

fn raw_end(bytes: &[u8], at: usize) -> usize {
    let hashes = bytes[at + 1..].iter().take_while(|byte| **byte == b'#').count();
    let close = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
    let from = at + 2 + hashes;
    bytes[from..].windows(close.len()).position(|end| end == close).map_or(bytes.len(), |l| from + l + close.len())
}

fn quoted_end(bytes: &[u8], at: usize, quote: u8) -> usize {
    let mut at = at + 1;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// A character, and not a lifetime: `'a'`, `'\n'`, `'…'`.
fn is_letter_literal(bytes: &[u8], at: usize) -> bool {
    let long = |letter: u8| if letter < 0x80 { 1 } else { letter.leading_ones() as usize };
    match bytes.get(at + 1) {
        Some(b'\\') => true,
        Some(letter) => bytes.get(at + 1 + long(*letter)) == Some(&b'\''),
        None => false,
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Where a word stands in code, as a whole word. A word may end in punctuation, as `println!` does.
pub fn places(code: &str, word: &str) -> Vec<usize> {
    let bytes = code.as_bytes();
    let whole = |at: usize| {
        let before = at.checked_sub(1).map_or(b' ', |before| bytes[before]);
        let (last, after) = (bytes[at + word.len() - 1], bytes.get(at + word.len()).copied().unwrap_or(b' '));
        let begins = !is_word(word.as_bytes()[0]) || (!is_word(before) && before != b'\'');
        begins && !(is_word(last) && is_word(after))
    };
    code.match_indices(word).map(|(at, _)| at).filter(|at| whole(*at)).collect()
}

/// The word that begins at a place.
pub fn word_at(code: &str, at: usize) -> &str {
    let length = code.as_bytes()[at..].iter().take_while(|byte| is_word(**byte)).count();
    &code[at..at + length]
}

/// The number of the line of a place, from 1.
pub fn line(code: &str, at: usize) -> usize {
    code.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1
}
