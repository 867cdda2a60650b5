//! `sign`: the request that a bot makes, made by hand. It goes to the bots' interface with a bot's token, so it is judged
//! and counted like any other.

use crate::cli::connect::{Target, post_as_bot};
use crate::cli::context::Context;
use crate::cli::file::read_secret;
use crate::cli::report::{Failure, Form, print};
use crate::secret::SecretText;
use crate::secret::read::read_secret_line;
use crate::wire::{SignAnswer, SignRequest};
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// The longest token file that is read, in bytes.
const MAX_TOKEN_BYTES: usize = 1024;
/// The longest body in bytes. The daemon takes less; this only bounds what is read.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// `sign`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// GET, POST, …
    pub method: String,
    /// The path with its query, exactly as it will be sent
    pub path: String,
    /// The credential to sign with
    #[arg(long, value_name = "NAME")]
    pub credential: String,
    /// A file with the bot's token [default: the file that SIGNVAULT_TOKEN_FILE names]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Ask over TCP: http://127.0.0.1:8731
    #[arg(long, value_name = "URL", conflicts_with = "socket")]
    pub url: Option<String>,
    /// Ask over this Unix socket [default: sign.sock in the run directory]
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// The body, exactly as it will be sent
    #[arg(long, value_name = "TEXT", conflicts_with = "body_file", allow_hyphen_values = true)]
    pub body: Option<String>,
    /// A file with the body, exactly as it will be sent
    #[arg(long, value_name = "FILE")]
    pub body_file: Option<PathBuf>,
    /// Print a curl command that sends the signed request
    #[arg(long)]
    pub curl: bool,
}

/// Has the request signed and shows what to send.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    if args.curl && context.report.form == Form::Json {
        return Err(Failure::usage("--curl cannot be used with --json", "choose one of the two"));
    }
    let target = target(&args, context)?;
    let token = token(&args, context)?;
    let body = body(&args, context)?;
    let request = SignRequest { credential: args.credential, method: args.method, path: args.path, body };
    let answer: SignAnswer = post_as_bot(&target, "/v1/sign", &token, &request)?;
    match args.curl {
        true => print(curl(&answer).as_bytes()).map(drop),
        false => context.report.data(&answer, headers),
    }
}

fn target(args: &Args, context: &Context) -> Result<Target, Failure> {
    match (&args.url, &args.socket) {
        (Some(url), _) => loopback(url).ok_or_else(|| {
            Failure::usage("--url is not the address of a daemon on this machine", "write it as http://127.0.0.1:8731")
        }),
        (None, Some(socket)) => Ok(Target::Socket(context.env.absolute(socket))),
        (None, None) => Ok(Target::Socket(context.config.sign_socket())),
    }
}

/// Loopback only: the token goes out in clear.
fn loopback(url: &str) -> Option<Target> {
    let host = url.strip_prefix("http://")?;
    let host = host.strip_suffix('/').unwrap_or(host);
    let address = match host.strip_prefix("localhost:") {
        Some(port) => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port.parse().ok()?),
        None => host.parse().ok()?,
    };
    address.ip().is_loopback().then(|| Target::Port(address, host.to_owned()))
}

fn token(args: &Args, context: &Context) -> Result<SecretText, Failure> {
    let path = args.token_file.clone().or_else(|| context.env.path("SIGNVAULT_TOKEN_FILE"));
    let path = path.ok_or_else(|| Failure::usage("there is no token", "name its file with --token-file"))?;
    let path = context.env.absolute(&path);
    let unreadable = |why: String| {
        Failure::failed(
            format!("cannot read the token file {}: {why}", path.display()),
            "check the path and who may read it",
        )
    };
    let file = File::open(&path).map_err(|error| unreadable(error.to_string()))?;
    let line = read_secret_line(&file, MAX_TOKEN_BYTES).map_err(|error| unreadable(error.to_string()))?;
    SecretText::parse(line).map_err(|error| unreadable(error.to_string()))
}

fn body(args: &Args, context: &Context) -> Result<Option<String>, Failure> {
    let body = match &args.body_file {
        Some(path) => Some(file_text(&context.env.absolute(path))?),
        None => args.body.clone(),
    };
    Ok(body.filter(|body| !body.is_empty()))
}

fn file_text(path: &Path) -> Result<String, Failure> {
    // EXPOSE: a body is not secret; it is read like one only because that is how files are read here.
    let text = SecretText::parse(read_secret(path, MAX_BODY_BYTES)?).map(|text| text.expose().to_owned());
    text.map_err(|_| Failure::failed("the body is not text", "only UTF-8 bodies can be signed"))
}

fn headers(answer: &SignAnswer) -> String {
    answer.headers.0.iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
}

/// A command that sends the signed request, byte for byte.
fn curl(answer: &SignAnswer) -> String {
    let mut words = vec!["curl".to_owned(), "--request".to_owned(), quoted(&answer.method), quoted(&answer.url)];
    for (name, value) in &answer.headers.0 {
        // A header without a value is written with a semicolon; with a colon curl would leave it out.
        let header = if value.is_empty() { format!("{name};") } else { format!("{name}: {value}") };
        words.push(format!("--header {}", quoted(&header)));
    }
    // Not --data: that would take a body that starts with @ for a file, and drop line breaks.
    words.extend(answer.body.iter().map(|body| format!("--data-raw {}", quoted(body))));
    // Signed bytes are sent as they are: no globbing of brackets, no tidying of dots.
    words.insert(1, "--globoff --path-as-is".to_owned());
    words.join(" ") + "\n"
}

/// A word for a POSIX shell, whatever is in it.
fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@%".contains(&byte);
    match !text.is_empty() && text.bytes().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::wire::Headers;
    use std::process::Command;

    fn shell(script: &str) -> Vec<u8> {
        let output = Command::new("sh").args(["-c", script]).output().unwrap();
        assert!(output.status.success(), "{script}");
        output.stdout
    }

    #[test]
    fn a_quoted_word_comes_out_of_the_shell_as_it_went_in() {
        let words = [
            "",
            "plain",
            "two words",
            "it's",
            "'",
            "''",
            r#"{"sz":"1","px":"$HOME `id` $(id) \\ !! %s %%"}"#,
            "line\nbreak\n",
            "tab\there",
            "-n",
            "~root",
            "*",
            "a;b&c|d<e>f#g",
            "ключ é \u{1F511}",
            "=@/x",
        ];
        for word in words {
            assert_eq!(shell(&format!("printf %s {}", quoted(word))), word.as_bytes(), "{word:?}");
        }
    }

    fn answer(method: &str, body: Option<&str>) -> SignAnswer {
        SignAnswer {
            url: "https://openapi.okx.com/api/v5/x?ccy=BTC%2CETH&a=b".into(),
            method: method.into(),
            headers: Headers(vec![("OK-ACCESS-PASSPHRASE".into(), "it's $9".into()), ("X-Empty".into(), "".into())]),
            body: body.map(str::to_owned),
            audit_seq: 1,
            expires_at: "2026-01-01T00:00:00.000Z".into(),
        }
    }

    /// The arguments that curl would be given, one per line.
    fn arguments(answer: &SignAnswer) -> Vec<String> {
        let script = format!("curl() {{ printf '%s\\n' \"$@\"; }}\n{}", curl(answer));
        String::from_utf8(shell(&script)).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_curl_command_gives_curl_the_exact_request() {
        let got = arguments(&answer("GET", None));
        let expected = [
            "--globoff",
            "--path-as-is",
            "--request",
            "GET",
            "https://openapi.okx.com/api/v5/x?ccy=BTC%2CETH&a=b",
            "--header",
            "OK-ACCESS-PASSPHRASE: it's $9",
            "--header",
            "X-Empty;",
        ];
        assert_eq!(got, expected);
        let got = arguments(&answer("POST", Some("{\"a\": \"it's\"}")));
        assert_eq!(got[got.len() - 2..], ["--data-raw", "{\"a\": \"it's\"}"]);
    }

    #[test]
    fn a_token_is_sent_to_this_machine_only() {
        let port = |url: &str| match loopback(url) {
            Some(Target::Port(address, host)) => Some((address.to_string(), host)),
            _ => None,
        };
        assert_eq!(port("http://127.0.0.1:8731"), Some(("127.0.0.1:8731".into(), "127.0.0.1:8731".into())));
        assert_eq!(port("http://localhost:80/"), Some(("127.0.0.1:80".into(), "localhost:80".into())));
        assert_eq!(port("http://[::1]:9"), Some(("[::1]:9".into(), "[::1]:9".into())));
        for url in [
            "http://192.168.1.2:80",
            "https://127.0.0.1:1",
            "http://127.0.0.1",
            "http://localhost.evil:1",
            "x",
            "http://127.0.0.1:1/v1",
        ] {
            assert_eq!(port(url), None, "{url}");
        }
    }
}
