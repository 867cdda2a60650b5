//! The pages in `docs/`: where they send their reader is there, and the commands that they show are commands. Those of the
//! README are run; these want a person, a service or another machine, so here they are only parsed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The pages, and what is on them.
fn pages() -> Vec<(PathBuf, String)> {
    let listed = ["docs", "docs/bots"].map(|dir| std::fs::read_dir(root().join(dir)).expect("listed"));
    let paths = listed.into_iter().flatten().map(|entry| entry.expect("an entry").path());
    let pages = paths.filter(|path| path.extension().is_some_and(|end| end == "md"));
    let read = |path: PathBuf| std::fs::read_to_string(&path).map(|text| (path, text)).expect("UTF-8");
    pages.chain([root().join("README.md")]).map(read).collect()
}

/// Prose, and the blocks of shell.
fn parted(text: &str) -> (String, String) {
    let (mut prose, mut shell, mut block) = (String::new(), String::new(), None);
    for line in text.lines() {
        match (line.trim_start().strip_prefix("```"), block) {
            (Some(language), None) => block = Some(language),
            (Some(_), Some(_)) => block = None,
            (None, Some("sh")) => shell = shell + line + "\n",
            (None, Some(_)) => (),
            (None, None) => prose = prose + line + "\n",
        }
    }
    (prose, shell)
}

/// The names by which headings are linked to.
fn headings(text: &str) -> BTreeSet<String> {
    let titles = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let kept = |letter: &char| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_');
    titles.map(|title| title.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")).collect()
}

#[test]
fn links_lead_to_files_and_headings_that_are_there() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for (page, text) in pages() {
        let prose = parted(&text).0;
        let targets = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.starts_with("http")) {
            seen += 1;
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() { page.clone() } else { page.with_file_name("").join(file) };
            let has = || std::fs::read_to_string(&path).is_ok_and(|text| headings(&text).contains(heading));
            if !path.exists() || !(heading.is_empty() || has()) {
                wrong.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen >= 50, "only {seen} links were found");
}

/// The commands of this program in a text: those in blocks of shell, and those that a sentence names.
fn commands(text: &str) -> Vec<Vec<String>> {
    let (prose, shell) = parted(text);
    let shell = shell.replace("\\\n", " ");
    let spans: Vec<&str> = prose.split('`').skip(1).step_by(2).collect();
    let told = spans.into_iter().chain(shell.lines().map(str::trim)).filter_map(|told| told.strip_prefix("signvault "));
    let told = told.filter(|told| !told.contains('…') && !told.starts_with("COMMAND"));
    told.map(words).filter(|words| !words.is_empty()).collect()
}

/// The words of one command, up to where the shell's own begin. What stands for something is something.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for letter in command.chars().chain([' ']) {
        match (letter, quote) {
            ('\'' | '"', None) => quote = Some(letter),
            (_, Some(open)) if letter == open => quote = None,
            ('|' | '>' | '<' | '&' | ';' | '#', None) => break,
            (_, None) if letter.is_whitespace() => {
                words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()));
            }
            _ => word.push(letter),
        }
    }
    // A number that only the shell redirects, as in `2> log`.
    words.extend(Some(word).filter(|word| word.parse::<u32>().is_err() && !word.is_empty()));
    words.into_iter().map(meant).collect()
}

fn meant(word: String) -> String {
    let stands_for = !word.is_empty() && word.chars().all(|letter| letter.is_ascii_uppercase() || letter == '-');
    if (stands_for && !word.starts_with('-') && !["GET", "POST"].contains(&word.as_str())) || word.starts_with("$(") {
        return "1".to_owned();
    }
    word
}

/// Whether the program would take these words. It says so instead of doing anything.
fn parses(words: &[String]) -> bool {
    let output = Command::new(env!("CARGO_BIN_EXE_signvault")).args(words).arg("--help").env_clear().output();
    output.expect("it runs").status.success()
}

#[test]
fn the_commands_on_the_pages_are_commands() {
    assert!(!parses(&words("backup --no-such-flag FILE")) && !parses(&words("no-such-command")));
    let mut told = BTreeSet::new();
    told.extend(pages().iter().flat_map(|(_, text)| commands(text)));
    let shown = |words: &Vec<String>| words.join(" ");
    let wrong: Vec<_> = told.iter().filter(|words| !parses(words)).map(shown).collect();
    assert_eq!(wrong, ["no-such-command"; 0], "shown as commands, and none");
    assert!(told.len() >= 60, "only {} were found", told.len());
}
