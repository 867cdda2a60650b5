//! The grammar of paths and queries: so narrow that no two servers can read them differently.
//!
//! Nothing is decoded for use and nothing is rewritten: what passes is signed as it was received.

use crate::types::bytes;
use std::collections::HashSet;

/// Why a path or a query is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// A path with other bytes than `A-Za-z0-9/_-`, or none, or one that does not begin with `/`.
    #[error("the path has characters other than letters, digits, `/`, `_` and `-`, or does not begin with `/`")]
    Path,
    /// A `?` with nothing behind it, or `&` without a pair on each side.
    #[error("the query has an empty part")]
    Empty,
    /// A pair without `=`.
    #[error("the query has a part without `=`")]
    Pair,
    /// A name with other bytes than `A-Za-z0-9_`, or none.
    #[error("the query has a name with characters other than letters, digits and `_`")]
    Name,
    /// The same name twice.
    #[error("the query has the same name twice")]
    Repeated,
    /// A value byte that must be percent-encoded, or a percent sign without two upper-case hex digits.
    #[error("the query has a value that is not percent-encoded with upper-case digits where it must be")]
    Value,
    /// Percent-encoded bytes that are not UTF-8 or hide a control character.
    #[error("the query has a percent-encoded value that is not UTF-8 text without control characters")]
    Decoded,
}

/// Checks a path without its query.
pub fn check_path(path: &str) -> Result<(), QueryError> {
    let fits = path.starts_with('/') && bytes::all(path.as_bytes(), is_path_byte);
    if fits { Ok(()) } else { Err(QueryError::Path) }
}

/// Whether a path may contain a byte.
pub fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-')
}

/// Whether a query may contain a byte anywhere.
pub fn is_query_byte(byte: u8) -> bool {
    is_plain(byte) || matches!(byte, b'%' | b'=' | b'&')
}

/// Checks a query: what follows the `?`.
pub fn check_query(query: &str) -> Result<(), QueryError> {
    let mut seen = HashSet::new();
    for pair in query.split('&') {
        if pair.is_empty() {
            return Err(QueryError::Empty);
        }
        let (name, value) = pair.split_once('=').ok_or(QueryError::Pair)?;
        check_name(name)?;
        if !seen.insert(name) {
            return Err(QueryError::Repeated);
        }
        check_value(value)?;
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), QueryError> {
    let fits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if fits { Ok(()) } else { Err(QueryError::Name) }
}

fn check_value(value: &str) -> Result<(), QueryError> {
    if value.bytes().all(is_plain) {
        return Ok(());
    }
    let decoded = percent_decode(value.as_bytes()).ok_or(QueryError::Value)?;
    let text = str::from_utf8(&decoded).map_err(|_| QueryError::Decoded)?;
    if text.contains(char::is_control) { Err(QueryError::Decoded) } else { Ok(()) }
}

/// RFC 3986's unreserved characters, and the comma that some clients leave as it is.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b',')
}

fn percent_decode(value: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            let (digits, after) = after.split_first_chunk::<2>()?;
            decoded.push(16 * hex_digit(digits[0])? + hex_digit(digits[1])?);
            rest = after;
        } else {
            decoded.push(Some(byte).filter(|byte| is_plain(*byte))?);
            rest = after;
        }
    }
    Some(decoded)
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_send_passes() {
        for query in [
            "a=1",
            "a=",
            "instId=BTC-USDT&ordId=1",
            "ids=1,2",
            "ids=1%2C2",
            "px=0.1",
            "subAcct=%C3%9Cn%C3%AFcode-%E6%97%A5",
            "a=x%20y&b_2=~._-,",
            "a=%26%3D",
        ] {
            assert_eq!(check_query(query), Ok(()), "{query}");
        }
    }

    #[test]
    fn what_servers_read_differently_is_refused() {
        for (query, why) in [
            ("", QueryError::Empty),
            ("a=1&", QueryError::Empty),
            ("&a=1", QueryError::Empty),
            ("a=1&&b=2", QueryError::Empty),
            ("a", QueryError::Pair),
            ("a=1&b", QueryError::Pair),
            ("=1", QueryError::Name),
            ("a[]=1", QueryError::Name),
            ("a%62=1", QueryError::Name),
            ("a.b=1", QueryError::Name),
            ("ccy=BTC&ccy=ETH", QueryError::Repeated),
            ("a=1=2", QueryError::Value),
            ("a=x+y", QueryError::Value),
            ("a=x y", QueryError::Value),
            ("a=1#b", QueryError::Value),
            ("a=1?b=2", QueryError::Value),
            ("a=1;b=2", QueryError::Value),
            ("a={\"b\":1}", QueryError::Value),
            ("a=/b", QueryError::Value),
            ("a=ü", QueryError::Value),
            ("a=%2c", QueryError::Value),
            ("a=%2", QueryError::Value),
            ("a=%", QueryError::Value),
            ("a=%GG", QueryError::Value),
            ("a=%00", QueryError::Decoded),
            ("a=%0D%0A", QueryError::Decoded),
            ("a=%7F", QueryError::Decoded),
            ("a=%C2%85", QueryError::Decoded),
            ("a=%C0%AF", QueryError::Decoded),
            ("a=%ED%A0%80", QueryError::Decoded),
            ("a=%FF", QueryError::Decoded),
        ] {
            assert_eq!(check_query(query), Err(why), "{query}");
        }
    }

    #[test]
    fn paths_are_letters_digits_and_three_marks() {
        for path in ["/api/v5/account/balance", "/api/v5/tradingBot/grid", "/a_b-c", "//", "/"] {
            assert_eq!(check_path(path), Ok(()), "{path}");
        }
        for path in ["", "api", "/a.b", "/a%2e", "/a;b", "/a b", "/a\\b", "/a\0", "/a\r\n", "/ａ", "/a{", "/a[", "/a\""]
        {
            assert_eq!(check_path(path), Err(QueryError::Path), "{path}");
        }
    }
}
