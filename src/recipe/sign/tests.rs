//! What a signed request and a login carry. That the signatures are right is the vectors' part.

use super::*;
use crate::recipe::built_in;

const PARTS: Parts<'static> = Parts {
    api_key: "5a95c46d-821d-4641-acce-5250b0ce64bc",
    secret: b"557FBBAFC3FC3D265C5D066FE442DFA0",
    passphrase: Some("Correct-Horse-1"),
};

const NOW: UnixMs = UnixMs(1_607_418_537_715);

fn okx() -> Recipe {
    Recipe::parse(built_in("okx").unwrap()).unwrap()
}

fn site(environment: Environment, region: &str) -> Site<'_> {
    Site { environment, region, base_url: None }
}

fn request(method: Method, path: &str, body: &str) -> Wanted {
    Wanted::Request(Request { method, path: path.to_owned(), body: Some(body.to_owned()) })
}

fn signed_request(wanted: &Wanted, site: &Site<'_>) -> SignedRequest {
    match okx().sign(wanted, &PARTS, site, NOW).unwrap() {
        Signed::Request(signed) => signed,
        Signed::Session(_) => panic!("a request was asked for"),
    }
}

fn signed_session(channel: Channel, site: &Site<'_>) -> SignedSession {
    match okx().sign(&Wanted::Session(channel), &PARTS, site, NOW).unwrap() {
        Signed::Session(signed) => signed,
        Signed::Request(_) => panic!("a session was asked for"),
    }
}

fn header<'a>(signed: &'a SignedRequest, name: &str) -> Option<&'a str> {
    signed.headers.iter().find(|(header, _)| &**header == name).map(|(_, value)| value.as_str())
}

#[test]
fn a_live_get_carries_four_headers() {
    let wanted = request(Method::Get, "/api/v5/account/balance?ccy=BTC", "");
    let signed = signed_request(&wanted, &site(Environment::Live, "global"));
    let names: Vec<_> = signed.headers.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["OK-ACCESS-KEY", "OK-ACCESS-SIGN", "OK-ACCESS-TIMESTAMP", "OK-ACCESS-PASSPHRASE"]);
    assert_eq!(signed.url, "https://www.okx.com/api/v5/account/balance?ccy=BTC");
    assert_eq!(header(&signed, "OK-ACCESS-TIMESTAMP"), Some("2020-12-08T09:08:57.715Z"));
    assert_eq!(header(&signed, "OK-ACCESS-PASSPHRASE"), Some("Correct-Horse-1"));
    assert_eq!((signed.method, signed.body), (Method::Get, None));
    assert_eq!(signed.expires_at, NOW.plus_ms(30_000));
}

#[test]
fn a_demo_post_carries_two_more_and_its_body_unchanged() {
    let body = "{\"b\": 1, \"a\": \"\\u00e9\"}";
    let signed = signed_request(&request(Method::Post, "/api/v5/trade/order", body), &site(Environment::Demo, "eea"));
    assert_eq!(header(&signed, "Content-Type"), Some("application/json"));
    assert_eq!(header(&signed, "x-simulated-trading"), Some("1"));
    assert_eq!(signed.url, "https://eea.okx.com/api/v5/trade/order");
    assert_eq!(signed.body.as_deref(), Some(body));
}

#[test]
fn a_credential_may_have_its_own_address() {
    let site = Site { base_url: Some("https://openapi.okx.com"), ..site(Environment::Live, "us") };
    let signed = signed_request(&request(Method::Get, "/api/v5/account/config", ""), &site);
    assert_eq!(signed.url, "https://openapi.okx.com/api/v5/account/config");
    assert_eq!(signed_session(Channel::Private, &site).url, "wss://wsus.okx.com:8443/ws/v5/private");
}

#[test]
fn a_login_is_for_one_of_twelve_addresses() {
    let hosts = [("global", "ws", "wspap"), ("us", "wsus", "wsuspap"), ("eea", "wseea", "wseeapap")];
    for (region, live, demo) in hosts {
        for (environment, host) in [(Environment::Live, live), (Environment::Demo, demo)] {
            for channel in [Channel::Private, Channel::Business] {
                let expected = format!("wss://{host}.okx.com:8443/ws/v5/{}", channel.as_str());
                assert_eq!(signed_session(channel, &site(environment, region)).url, expected);
            }
        }
    }
}

#[test]
fn a_login_says_whole_seconds_as_text() {
    let signed = signed_session(Channel::Private, &site(Environment::Live, "global"));
    assert_eq!(signed.message["op"], "login");
    assert_eq!(signed.message["args"][0]["timestamp"], "1607418537");
    assert_eq!(signed.message["args"][0]["apiKey"], PARTS.api_key);
    assert_eq!(signed.message["args"][0]["sign"].as_str().map(str::len), Some(44));
    assert_eq!(signed.expires_at, UnixMs(1_607_418_567_000));
}

#[test]
fn the_same_moment_as_another_exchange_would_write_it() {
    let written = [ClockFormat::IsoMs, ClockFormat::Ms, ClockFormat::S].map(|format| format.write(NOW));
    assert_eq!(written, ["2020-12-08T09:08:57.715Z", "1607418537715", "1607418537"]);
}

#[test]
fn a_credential_that_cannot_sign_is_found_when_it_is_added() {
    let global = site(Environment::Live, "global");
    assert_eq!(okx().check(&PARTS, &global), Ok(()));
    for (parts, why) in [
        (Parts { passphrase: None, ..PARTS }, SignError::Passphrase),
        (Parts { passphrase: Some(""), ..PARTS }, SignError::Passphrase),
        (Parts { passphrase: Some("a\r\nX: y"), ..PARTS }, SignError::Unprintable),
        (Parts { api_key: "ключ", ..PARTS }, SignError::Unprintable),
        (Parts { secret: b"", ..PARTS }, SignError::Secret),
    ] {
        assert_eq!(okx().check(&parts, &global), Err(why));
    }
    assert_eq!(okx().check(&PARTS, &site(Environment::Live, "mars")), Err(SignError::Address));
}

#[test]
fn a_secret_may_be_given_out_encoded() {
    let key = |decoding: KeyDecoding, text: &[u8]| decoding.decode(text).map(|key| key.map(|key| key.to_vec()));
    assert_eq!(key(KeyDecoding::Raw, b"a2V5"), Ok(None));
    assert_eq!(key(KeyDecoding::Base64, b"a2V5"), Ok(Some(b"key".to_vec())));
    assert_eq!(key(KeyDecoding::Hex, b"6b6579"), Ok(Some(b"key".to_vec())));
    assert_eq!(key(KeyDecoding::Base64, b"a2V"), Err(SignError::Secret));
}

#[test]
fn debug_shows_neither_passphrase_nor_signature() {
    let global = site(Environment::Live, "global");
    for (wanted, expected) in [
        (request(Method::Get, "/api/v5/account/balance", ""), "Request(SignedRequest { method: Get, .. })"),
        (Wanted::Session(Channel::Private), "Session(SignedSession { .. })"),
    ] {
        assert_eq!(format!("{:?}", okx().sign(&wanted, &PARTS, &global, NOW).unwrap()), expected);
    }
}
