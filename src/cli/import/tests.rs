use super::*;

const NAMES: [&str; 3] = ["K", "S", "P"];

fn env(text: &str) -> Result<Key, ImportError> {
    from_env(text, NAMES)
}

fn secret_of(line: &str) -> String {
    env(&format!("K=k\n{line}\nP=p\n"))
        .map_or_else(|error| format!("{error:?}"), |key| key.secret.value.expose().to_owned())
}

#[test]
fn a_dotenv_value_is_read_as_it_is_meant() {
    let cases = [
        ("S=plain", "plain"),
        ("export S=plain", "plain"),
        ("  export\tS = plain  ", "plain"),
        ("S=a#b", "a#b"),
        ("S=a b # comment", "a b"),
        ("S='a # b'", "a # b"),
        ("S='a # b' # comment", "a # b"),
        (r"S='a\nb'", r"a\nb"),
        (r#"S="a # b" # comment"#, "a # b"),
        (r#"S="a\"b\\" "#, r#"a"b\"#),
        (r#"S="a\tb\$c""#, "a\tb$c"),
        ("S=$HOME${X}`id`$(id)", "$HOME${X}`id`$(id)"),
        (r#"S="$HOME""#, "$HOME"),
        ("S=a=b==", "a=b=="),
        ("S=ключ", "ключ"),
        ("S=x\r", "x"),
    ];
    for (line, expected) in cases {
        assert_eq!(secret_of(line), expected, "{line}");
    }
}

#[test]
fn the_lines_to_delete_are_known() {
    let key = env("# keys\n\nK=k\nexport S='s'\n\nP=\"p\"\nOTHER=1\n").unwrap();
    assert_eq!((key.api_key.line, key.secret.line, key.passphrase.line), (Some(3), Some(4), Some(6)));
    assert_eq!(key.secret.name, "S");
}

#[test]
fn a_dotenv_file_that_could_be_read_in_two_ways_is_refused() {
    assert_eq!(env("K=k\nS=1\nP=p\nS=2\n").err(), Some(ImportError::Twice { name: "S".into(), first: 2, second: 4 }));
    assert_eq!(env("K=k\nP=p\n").err(), Some(ImportError::Missing("S".into())));
    assert_eq!(env("K=k\nS=\nP=p\n").err(), Some(ImportError::Empty("S".into())));
    for line in ["S='hunter2", "S=\"hunter2", "S='a'hunter2", "hunter2", "S hunter2=1", "=hunter2", r#"S="hunter2\""#] {
        assert_eq!(env(&format!("K=k\n{line}\nP=p\n")).err(), Some(ImportError::Line(2)), "{line}");
    }
}

const FREQTRADE: &str = r#"// freqtrade
{
    "max_open_trades": 3,
    "pair_whitelist": ["BTC/USDT", "ETH/USDT",], // a comma too many
    "telegram": {"key": "not this"},
    "exchange": {
        "name": "okx",
        /* the key
           itself */
        "key": "http://k//*",
        "secret": "s,]s", "password": "p\\p",
        "ccxt_config": {},
    },
}
"#;

#[test]
fn a_freqtrade_file_is_read_with_its_comments_and_commas() {
    let key = from_freqtrade(FREQTRADE.as_bytes(), "okx").unwrap();
    let values = [&key.api_key, &key.secret, &key.passphrase].map(|found| found.value.expose().to_owned());
    assert_eq!(values, ["http://k//*", "s,]s", r"p\p"]);
    // A value with an escape does not stand in the file as it is.
    let lines = [&key.api_key, &key.secret, &key.passphrase].map(|found| found.line);
    assert_eq!(lines, [Some(10), Some(11), None]);
}

#[test]
fn a_freqtrade_file_for_another_exchange_is_refused() {
    assert_eq!(from_freqtrade(FREQTRADE.as_bytes(), "binance").err(), Some(ImportError::OtherExchange));
    assert!(from_freqtrade(FREQTRADE.as_bytes(), "OKX").is_ok());
}

#[test]
fn a_broken_freqtrade_file_is_refused_with_its_line_and_without_its_text() {
    let cases = [
        ("{\n\"exchange\": {\"key\": \"hunter2\", \"secret\": \"s\"\n", 2..=3),
        ("{\"exchange\": {\"key\": \"k\", \"secret\": \"hunter2\"}}", 1..=1),
        ("{\"exchange\": {\"key\": \"a\", \"key\": \"hunter2\", \"secret\": \"s\", \"password\": \"p\"}}", 1..=1),
        ("\"unfinished", 1..=1),
        ("/* unfinished", 1..=1),
        ("\"\\", 1..=1),
        ("", 1..=1),
    ];
    for (text, lines) in cases {
        match from_freqtrade(text.as_bytes(), "okx").err() {
            Some(ImportError::Json(line)) => assert!(lines.contains(&line), "{text}: {line}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}

fn args(line: &str) -> Args {
    use clap::Parser;
    #[derive(Parser)]
    struct Import {
        #[command(flatten)]
        args: Args,
    }
    Import::try_parse_from(format!("x --name n --exchange okx {line}").split(' ')).unwrap().args
}

#[test]
fn the_format_follows_from_the_flags_and_the_file_s_name() {
    let variables = "--key-var K --secret-var S --passphrase-var P";
    assert_eq!(args(&format!("--from-file .env {variables}")).variables().unwrap(), Some(NAMES));
    assert_eq!(args(&format!("--from-file x.json {variables}")).variables().unwrap(), Some(NAMES));
    assert_eq!(args("--from-file config.json").variables().unwrap(), None);
    assert_eq!(args("--from-file config --format freqtrade").variables().unwrap(), None);
    assert!(args("--from-file .env").variables().is_err());
    assert!(args("--from-file .env --key-var K").variables().is_err());
    assert!(args("--from-file a.json --format freqtrade --key-var K").variables().is_err());
}
