//! What the sources must be besides correct: each rule a test, and each says why when it fails.
//!
//! Plain scanning of text, so that nothing here needs a compiler's opinion. Tests are exempt from all rules but the last
//! two. An exception stands in a list beside its rule, with its reason; a list may shrink, and grows only with a better
//! reason than convenience.

mod source;

use signvault::recipe::Recipe;
use signvault::recipe::errors::Errors;
use signvault::{config, policy};
use source::{Source, closing_brace, files_below, line, places, root, shown, sources, word_at};
use std::collections::{BTreeMap, BTreeSet};

/// The layers, from the ground up. A file imports from layers below its own, and nothing else.
const LAYERS: [&[&str]; 8] = [
    &["types"],
    &["secret", "crypto"],
    &["audit", "recipe", "policy", "wire"],
    &["store"],
    &["vault"],
    &["api"],
    &["config", "daemon", "cli"],
    &["main", "lib", "manual"],
];

/// Imports within a layer.
const BESIDE: [(&str, &str, &str); 3] = [
    ("crypto", "secret", "keys are born in protected memory; `secret` knows nothing of ciphers"),
    ("cli", "config", "a person's command needs to know where the daemon is"),
    ("daemon", "config", "what was configured becomes a process here, and nowhere deeper"),
];

/// Fails with every finding and the reason of the rule.
#[track_caller]
fn none(found: Vec<String>, reason: &str) {
    assert!(found.is_empty(), "{reason}\n  {}", found.join("\n  "));
}

#[test]
fn the_rules_see_code_and_neither_comments_nor_texts_nor_tests() {
    let text = "// unsafe\nfn a<'a>(x: &'a u8) -> char { /* unsafe */ '\"' } fn b() { r#\"unsafe \"{\"#; unsafe {} }\n\
                #[cfg(test)]\nmod tests { fn c() { unsafe { } } }\n";
    let source = Source::new("src/x.rs", text).0;
    assert_eq!(places(&source.code, "unsafe").len(), 1);
    assert_eq!(places(&source.code, "fn").len(), 2);
    assert_eq!(places(&source.uncommented, "unsafe").len(), 2);
    assert_eq!(source.code.trim_end().lines().count(), 2);
    assert_eq!(first_words("a::{b, c}, d, e::f"), ["a", "d", "e"]);
    let source = Source::new("src/types/x.rs", "use crate::{store::Ledger, vault};\nfn f() { crate::wire::g() }\n").0;
    let names = imports(&source).into_iter().map(|(name, line)| format!("{name} {line}"));
    assert_eq!(names.collect::<Vec<_>>(), ["store 1", "vault 1", "wire 2"]);
}

/// `src/vault/sign.rs` belongs to `vault`.
fn module(path: &str) -> &str {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs");
    path.split('/').next().unwrap_or(path)
}

fn layer(module: &str) -> usize {
    let found = LAYERS.iter().position(|layer| layer.contains(&module));
    found.unwrap_or_else(|| panic!("the module `{module}` has no layer yet: give it one in LAYERS and ARCHITECTURE.md"))
}

/// The top-level modules that a file names, each with its line.
fn imports(source: &Source) -> Vec<(String, usize)> {
    let krate = if source.path == "src/main.rs" { "signvault::" } else { "crate::" };
    let mut found = Vec::new();
    for at in places(&source.code, krate) {
        let from = at + krate.len();
        let names = match source.code[from..].strip_prefix('{') {
            Some(group) => first_words(&group[..closing_brace(&source.code, from) - from - 1]),
            None => vec![word_at(&source.code, from).to_owned()],
        };
        found.extend(names.into_iter().map(|name| (name, line(&source.code, at))));
    }
    found
}

/// The first word of each item of a group: of `a::{b, c}, d` it is `a` and `d`.
fn first_words(group: &str) -> Vec<String> {
    let mut depth = 0_usize;
    let items = group.split(|letter: char| {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => (),
        }
        letter == ',' && depth == 0
    });
    let words = items.map(|item| word_at(item.trim_start(), 0).to_owned());
    words.filter(|word| !word.is_empty() && word != "self").collect()
}

#[test]
fn a_file_imports_only_from_the_layers_below_its_own() {
    let mut found = Vec::new();
    for source in sources() {
        let importer = module(&source.path);
        for (imported, line) in imports(&source) {
            let beside = BESIDE.iter().any(|(from, to, _)| (*from, *to) == (importer, &imported));
            if imported != importer && layer(&imported) >= layer(importer) && !beside {
                found.push(format!("{}:{line} imports `{imported}`", source.path));
            }
        }
    }
    none(
        found,
        "a layer that knows the one above it can't be read, tested or replaced alone: pass a value down instead",
    );
}

#[test]
fn config_stays_with_the_two_faces() {
    let mut found = Vec::new();
    for source in sources() {
        let may = ["config", "cli", "daemon", "main"].contains(&module(&source.path));
        let lines = imports(&source).into_iter().filter(|(name, _)| name == "config" && !may);
        found.extend(lines.map(|(_, line)| format!("{}:{line}", source.path)));
    }
    none(
        found,
        "a configuration type in a lower layer ties that layer to how people write files: pass the value it means",
    );
}

#[test]
fn no_path_climbs_past_its_own_module() {
    let mut found = Vec::new();
    for source in sources() {
        let top = !source.path.trim_start_matches("src/").trim_end_matches("/mod.rs").contains('/');
        let words: &[&str] = if top { &["super::"] } else { &["super::super"] };
        let climbs = words.iter().flat_map(|word| places(&source.code, word));
        found.extend(climbs.map(|at| format!("{}:{}", source.path, line(&source.code, at))));
    }
    none(found, "only `crate::` paths leave a module, so that its imports can be read at its head");
}

#[test]
fn modules_import_each_other_in_no_circle() {
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources() {
        let importer = module(&source.path).to_owned();
        let others = imports(&source).into_iter().map(|(name, _)| name).filter(|name| *name != importer);
        graph.entry(importer.clone()).or_default().extend(others);
    }
    // Whoever imports nothing that is left, or is imported by nobody left, is taken away: circles stay.
    let is_free = |name: &String, graph: &BTreeMap<String, BTreeSet<String>>| {
        !graph[name].iter().any(|to| graph.contains_key(to)) || !graph.values().any(|to| to.contains(name))
    };
    while let Some(free) = graph.keys().find(|name| is_free(name, &graph)).cloned() {
        graph.remove(&free);
    }
    none(graph.into_keys().collect(), "modules in a circle are one module in several files");
}

/// What stands only in one place: the words, where, and why.
const ONLY_HERE: [(&[&str], &[&str], &str); 10] = [
    (&["rusqlite"], &["src/store/"], "all SQL is in one layer, which others see as types"),
    (
        &["tokio", "axum", "hyper", "hyper_util", "http_body_util", "async", ".await"],
        &["src/api/", "src/daemon/", "src/cli/connect.rs", "src/cli/connect/"],
        "the layers below are plain functions: whoever calls one knows that it does not yield in the middle",
    ),
    (
        &["aes_gcm", "argon2", "rayon", "hkdf", "hmac", "sha2", "ed25519_dalek", "subtle", "getrandom"],
        &["src/crypto/"],
        "a cipher that is called in one place is reviewed in one place",
    ),
    (
        &["SystemTime", "clock_gettime", "Timestamp::now", "Zoned::now"],
        &["src/types/clock.rs"],
        "the daemon owns the clock: everything else is given `now`, and tests decide what it is",
    ),
    (
        &["Instant"],
        &["src/api/", "src/daemon/", "src/cli/connect.rs", "src/cli/demo/"],
        "a monotonic clock is for the time-outs of connections and children; it can't reach a signature or a row from there",
    ),
    (
        &["std::env", "env::var", "env::vars", "env::vars_os", "env::var_os", "env::args_os", "env::current_dir"],
        &["src/config/", "src/daemon/", "src/main.rs", "src/store/bench.rs"],
        "the environment is read once and passed in as a value, so that nothing depends on it unseen",
    ),
    (
        &["unsafe", "unsafe_code"],
        &[
            "src/secret.rs",
            "src/secret/heap.rs",
            "src/secret/tests.rs",
            "src/daemon/harden.rs",
            "src/daemon/inherit.rs",
            "src/daemon/clock.rs",
        ],
        "what the compiler does not check is in few files that are read with that in mind; the clock asks the kernel alone",
    ),
    (
        &["process::exit", "process::abort"],
        &["src/main.rs"],
        "whoever ends the process runs no destructor, and keys stay",
    ),
    (
        &["f32", "f64"],
        &["src/api/admin/metrics.rs"],
        "money and sizes are decimal: what floating point rounds, someone pays; what monitors read is floating point by its format",
    ),
    (
        &["println!", "eprintln!", "print!", "eprint!", "io::stdout", "io::stderr"],
        &["src/cli/", "src/daemon/log.rs"],
        "stdout is data and stderr is words, and the command line decides which",
    ),
];

#[test]
fn what_belongs_in_one_place_is_nowhere_else() {
    for (words, homes, reason) in ONLY_HERE {
        let mut found = Vec::new();
        for source in sources().iter().filter(|source| !homes.iter().any(|home| source.path.starts_with(home))) {
            for word in words {
                let hits = places(&source.code, word).into_iter().map(|at| line(&source.code, at));
                found.extend(hits.map(|line| format!("{}:{line} `{word}`", source.path)));
            }
        }
        none(found, &format!("only in {}: {reason}", homes.join(", ")));
    }
}

#[test]
fn statements_of_sql_are_in_the_store() {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| !source.path.starts_with("src/store/")) {
        for word in ["\"SELECT ", "\"INSERT ", "\"UPDATE ", "\"DELETE FROM ", "\"PRAGMA ", "\"VACUUM", "\"CREATE TABLE"]
        {
            let hits = source.uncommented.match_indices(word).map(|(at, _)| line(&source.uncommented, at));
            found.extend(hits.map(|line| format!("{}:{line} {word}…", source.path)));
        }
    }
    none(found, "only in src/store/: whoever changes a table must find every statement about it");
}

/// Words that stand nowhere, and why.
const NOWHERE: [(&[&str], &str); 7] = [
    (
        &["mod prelude", "mod util", "mod utils", "mod common", "mod helpers", "mod misc"],
        "a module without an idea in its name collects what belongs elsewhere",
    ),
    (&["pub use"], "one name, one path: a re-export hides where a thing lives and what depends on it"),
    (
        &["pub enum Error", "pub struct Error", "pub type Error", "pub type Result"],
        "an error of everything says nothing",
    ),
    (
        &["static", "thread_local!", "LazyLock", "LazyCell", "OnceLock", "OnceCell", "lazy_static!"],
        "state that nobody passes is state that nobody sees, and no test can have its own",
    ),
    (
        &["read_line", "from_utf8_lossy"],
        "a line reader keeps a copy of a secret, and a lossy one changes what is judged",
    ),
    (&["decrypt_in_place", "decrypt_inout_detached"], "a wrong tag must not leave plaintext behind"),
    (&["todo!", "unimplemented!", "dbg!"], "the program does what it says it does"),
];

#[test]
fn what_does_not_belong_is_nowhere() {
    for (words, reason) in NOWHERE {
        let mut found = Vec::new();
        for source in sources() {
            // The one that a program can't do without: it is how memory is given back wiped.
            let code = source.code.replace("static ALLOCATOR: ZeroizingAllocator", "");
            let code = if source.path == "src/main.rs" { &code } else { &source.code };
            for word in words {
                let hits = places(code, word).into_iter().map(|at| line(code, at));
                found.extend(hits.map(|line| format!("{}:{line} `{word}`", source.path)));
            }
        }
        none(found, reason);
    }
}

/// `src/api/error.rs` is where errors of all layers become answers, not an error type.
#[test]
fn files_have_names_that_say_what_is_in_them() {
    let empty = ["prelude", "util", "utils", "common", "helpers", "misc"];
    let paths = files_below("src").into_iter().map(|path| shown(&path));
    let found = paths.filter(|path| path.split(['/', '.']).any(|part| empty.contains(&part)) || path == "src/error.rs");
    none(found.collect(), "a module without an idea in its name collects what belongs elsewhere");
}

#[test]
fn no_import_takes_everything() {
    let mut found = Vec::new();
    for source in sources() {
        let stars = source.code.match_indices("::*").map(|(at, _)| at);
        found.extend(stars.map(|at| format!("{}:{}", source.path, line(&source.code, at))));
    }
    none(found, "whoever reads a name must find where it comes from at the head of the file");
}

#[test]
fn nothing_is_left_for_later() {
    let words = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["XX", "X"].concat()];
    let mut found = Vec::new();
    let directories = ["src", "tests/it", "tests/faults", "migrations", "config"];
    for path in directories.iter().flat_map(|directory| files_below(directory)) {
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        for word in &words {
            let hits = places(&text, word).into_iter().map(|at| line(&text, at));
            found.extend(hits.map(|line| format!("{}:{line} {word}", shown(&path))));
        }
    }
    none(found, "what is not done is in the issue tracker, where someone looks for it");
}

/// Files that may be longer than 400 lines: how long, and why.
const LONG_FILES: [(&str, usize, &str); 1] = [(
    "src/wire.rs",
    600,
    "one list of shapes without a function worth the name; a second file would hide the first half",
)];

#[test]
fn files_are_short_enough_to_be_read() {
    let mut found = Vec::new();
    for source in sources() {
        let exception = LONG_FILES.iter().find(|(path, ..)| *path == source.path);
        let most = exception.map_or(400, |(_, most, _)| *most);
        // Tests at the end were blanked, so the file ends where its code does.
        let lines = source.code.trim_end().lines().count();
        if lines > most {
            found.push(format!("{}: {lines} lines without tests, at most {most}", source.path));
        }
        if exception.is_some() && lines <= 400 {
            found.push(format!("{}: {lines} lines need no exception any more; take it out of LONG_FILES", source.path));
        }
    }
    none(found, "a file is one idea: split by idea, not by length");
}

/// Every function outside tests: where it is and how many lines its body has, signature and braces included.
fn functions() -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for source in sources() {
        for at in places(&source.code, "fn") {
            let name = word_at(&source.code, at + 3);
            let stop = source.code[at..].find(['{', ';']).map_or(at, |length| at + length);
            if name.is_empty() || source.code.as_bytes()[stop] == b';' {
                continue;
            }
            let lines = line(&source.code, closing_brace(&source.code, stop)) - line(&source.code, at) + 1;
            found.push((format!("{}::{name}", source.path), lines));
        }
    }
    found
}

#[test]
fn functions_are_short_enough_to_be_held_in_mind() {
    let mut functions = functions();
    let long = functions.iter().filter(|(_, lines)| *lines > 80).map(|(name, lines)| format!("{name}: {lines} lines"));
    none(long.collect(), "nobody holds more than 80 lines in mind: name the steps");
    functions.sort_by_key(|(_, lines)| *lines);
    let (middle, ninth) = (functions[functions.len() / 2].1, functions[functions.len() * 9 / 10].1);
    assert!(
        middle <= 10 && ninth <= 40,
        "functions grow: median {middle} (at most 10), nine of ten {ninth} (at most 40)"
    );
}

#[test]
fn places_named_in_architecture_exist() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let mut found = Vec::new();
    let mut named = 0;
    for name in text.split('`').skip(1).step_by(2).filter(|name| name.starts_with("src/")) {
        let (path, function) = name.split_once("::").unwrap_or((name, ""));
        let there = match std::fs::read_to_string(root().join(path)) {
            Ok(content) => function.is_empty() || !places(&content, &format!("fn {function}")).is_empty(),
            Err(_) => function.is_empty() && root().join(path).exists(),
        };
        named += usize::from(!function.is_empty());
        if !there {
            found.push(name.to_owned());
        }
    }
    none(found, "ARCHITECTURE.md sends its reader to a place that is not there");
    assert!(named >= 30, "ARCHITECTURE.md names functions as `src/file.rs::function`; only {named} were found");
}

#[test]
fn architecture_names_every_module_in_its_layer() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let lib = std::fs::read_to_string(root().join("src/lib.rs")).expect("src/lib.rs");
    let declared: Vec<&str> = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let unnamed = declared.iter().filter(|name| !text.contains(&format!("[`{name}`]")));
    none(unnamed.map(|name| (*name).to_owned()).collect(), "the map in ARCHITECTURE.md must show every module");
    let layers: Vec<usize> = declared.iter().map(|name| layer(name)).collect();
    assert!(layers.is_sorted(), "src/lib.rs lists its modules from the ground up: {declared:?}");
    let on_disk = sources().iter().map(|source| module(&source.path).to_owned()).collect::<BTreeSet<_>>();
    let missing = on_disk.into_iter().filter(|name| !["lib", "main"].contains(&name.as_str()));
    none(
        missing.filter(|name| !declared.contains(&name.as_str())).collect(),
        "a file that src/lib.rs does not declare",
    );
}

#[test]
fn every_file_that_is_shipped_as_configuration_parses() {
    let mut found = Vec::new();
    for path in files_below("config").iter().filter(|path| path.extension().is_some_and(|kind| kind == "toml")) {
        let text = std::fs::read_to_string(path).expect("UTF-8");
        let kind = path.parent().and_then(|parent| parent.file_name()).and_then(|name| name.to_str());
        let refused = match kind {
            Some("exchanges") => Recipe::parse(&text).err().map(|error| error.to_string()),
            Some("errors") => Errors::parse(&text).err().map(|flaw| flaw.to_string()),
            Some("policies") => policy::parse::parse(&text, &|_| true).err().map(|error| error.to_string()),
            Some("config") => config::raw::File::parse(&text).err().map(|error| format!("{error:?}")),
            _ => Some("no test knows what this directory is for".to_owned()),
        };
        found.extend(refused.map(|why| format!("{}: {why}", shown(path))));
    }
    none(found, "people copy these files before they read them");
}

#[test]
fn the_project_speaks_of_itself_alone() {
    let elsewhere =
        [["/wo", "rk/"], ["../sha", "red"], ["../ora", "cle"], ["../see", "ds"]].map(|parts| parts.concat());
    let mut found = Vec::new();
    for path in files_below(".") {
        // What is no text has no words.
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        for word in &elsewhere {
            let hits = text.match_indices(word).map(|(at, _)| line(&text, at));
            found.extend(hits.map(|line| format!("{}:{line} {word}", path.display())));
        }
    }
    none(found, "a path of someone's machine means nothing to anyone else");
}

#[test]
fn what_the_usual_run_leaves_out_has_a_command_of_its_own() {
    let makefile = std::fs::read_to_string(root().join("Makefile")).expect("UTF-8");
    let mut found = Vec::new();
    for path in files_below("tests/it") {
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("UTF-8");
        let ignores = text.lines().any(|line| line.trim_start().starts_with("#[ignore"));
        if ignores && !makefile.contains(&format!(" {name}::")) {
            found.push(format!("tests/it/{name}.rs"));
        }
    }
    none(found, "a test that nobody runs is no test: name its module in the Makefile, which CI runs");
}

#[test]
fn every_number_of_the_test_programme_that_is_about_files_and_crypto_has_a_test() {
    let paths = files_below("src").into_iter().chain(files_below("tests/it"));
    let text: String = paths.map(|path| std::fs::read_to_string(path).expect("UTF-8")).collect();
    let missing = (1..=25).filter(|number| !text.contains(&format!("fn t{number:02}_")));
    none(missing.map(|number| format!("T{number}")).collect(), "what the programme asks is found by its number");
}

#[test]
fn the_faults_are_part_of_the_check() {
    let makefile = std::fs::read_to_string(root().join("Makefile")).expect("UTF-8");
    let check = makefile.lines().find(|line| line.starts_with("check:")).expect("a target");
    let runs = |length: &str| makefile.contains(&format!("--test faults -- {length}"));
    assert!(check.contains(" faults-short") && runs("--short") && runs("--full"), "what nobody runs finds nothing");
}
