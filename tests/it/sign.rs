//! `POST /v1/sign`, `/v1/sign/batch`, `/v1/session`: what comes back, and that the exchange would accept it.

use crate::support::exchange::check_signature;
use crate::support::{SECRET, Vault};

#[test]
fn a_bot_gets_headers_that_the_exchange_accepts_over_both_transports() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    let token = daemon.add_bot("bob", "main", &["read", "trade"]);
    let body = r#"{"instId":"BTC-USDT","sz":"0.01"}"#;
    for mut connection in [daemon.tcp(), daemon.unix()] {
        let answer = connection.sign(&token, "main", "GET", "/api/v5/account/balance?ccy=BTC", None).ok();
        check_signature(&answer, SECRET, "GET", "/api/v5/account/balance?ccy=BTC", "");
        let answer = connection.sign(&token, "main", "POST", "/api/v5/trade/order", Some(body)).ok();
        check_signature(&answer, SECRET, "POST", "/api/v5/trade/order", body);
        assert_eq!(answer["body"], body);
    }
}
