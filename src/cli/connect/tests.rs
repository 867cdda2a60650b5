use super::*;

use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixListener;
use std::thread::JoinHandle;

/// A daemon that takes one request, gives one answer and hands the request over.
fn answering(socket: &Path, answer: &'static str) -> JoinHandle<String> {
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut request = String::new();
        while !request.ends_with("\r\n\r\n") {
            reader.read_line(&mut request).unwrap();
        }
        let length = request.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        request.push_str(std::str::from_utf8(&body).unwrap());
        stream.write_all(answer.as_bytes()).unwrap();
        request
    })
}

fn exchanged<T>(answer: &'static str, ask: impl Fn(&Admin) -> T) -> (T, String) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("admin.sock");
    let daemon = answering(&socket, answer);
    (ask(&Admin::at(&socket)), daemon.join().unwrap())
}

#[test]
fn a_request_names_its_host_and_type_and_its_answer_is_read() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n{\"a\": 1}";
    let (got, request) = exchanged(answer, |admin| admin.post::<serde_json::Value>("/v1/lock", &serde_json::json!({})));
    assert_eq!(got.unwrap()["a"], 1);
    assert!(request.starts_with("POST /v1/lock HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("host: signvault\r\n") && request.contains("content-type: application/json\r\n"));
    assert!(request.ends_with("\r\n\r\n{}"));
}

#[test]
fn a_problem_is_the_daemon_s_refusal() {
    let answer = "HTTP/1.1 423 Locked\r\nconnection: close\r\n\r\n{\"type\":\"about:blank\",\"title\":\"t\",\"status\":423,\"code\":\"vault.locked\",\"detail\":\"d\",\"help\":\"unlock\"}";
    let (got, _) = exchanged(answer, |admin| admin.get::<()>("/v1/slots"));
    assert!(matches!(got, Err(ConnectError::Refused(problem)) if problem.code == "vault.locked"));
}

#[test]
fn an_answer_from_something_else_is_not_believed() {
    for answer in ["HTTP/1.1 502 Bad\r\ncontent-length: 2\r\n\r\nno", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno"]
    {
        let (got, _) = exchanged(answer, |admin| admin.get::<u32>("/v1/status"));
        assert!(matches!(got, Err(ConnectError::Strange(_))));
    }
}

#[test]
fn a_body_that_ends_early_is_an_error() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
    let (got, _) = exchanged(answer, |admin| admin.download("/v1/backup", &mut Vec::new(), |_| ()));
    assert!(matches!(got, Err(ConnectError::Broken(_))));
}

#[test]
fn a_download_goes_to_its_sink() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nbytes";
    let (got, _) = exchanged(answer, |admin| {
        let mut sink = Vec::new();
        (admin.download("/v1/backup", &mut sink, |_| ()).unwrap(), sink)
    });
    assert_eq!(got, (5, b"bytes".to_vec()));
}

#[test]
fn nobody_there_is_unreachable() {
    let got = Admin::at(Path::new("/nowhere/admin.sock")).get::<()>("/v1/status");
    assert!(got.unwrap_err().is_unreachable());
}

#[test]
fn a_token_goes_out_as_a_bearer_and_one_with_a_line_break_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("sign.sock");
    let daemon = answering(&socket, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnull");
    let target = Target::Socket(socket);
    post_as_bot::<()>(&target, "/v1/sign", &SecretText::new("svb_x".into()), &()).unwrap();
    assert!(daemon.join().unwrap().contains("authorization: Bearer svb_x\r\n"));
    let error = post_as_bot::<()>(&target, "/v1/sign", &SecretText::new("svb\r\nx: y".into()), &()).unwrap_err();
    assert!(matches!(error, ConnectError::Begin(_)) && !error.to_string().contains("svb"));
}

#[test]
fn a_name_stays_one_segment_of_a_path() {
    assert_eq!(item_path("/v1/bots", "grid-1.a_B"), "/v1/bots/grid-1.a_B");
    assert_eq!(item_path("/v1/bots", "a/../b?c d"), "/v1/bots/a%2F..%2Fb%3Fc%20d");
}
