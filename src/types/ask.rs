//! An ask: what a bot wants signed, exactly as it said it.

use serde::{Deserialize, Serialize};
use std::fmt;

/// An HTTP method that an exchange's endpoint may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// `GET`
    Get,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `DELETE`
    Delete,
    /// `PATCH`
    Patch,
}

impl Method {
    /// Reads a method in upper case; any other spelling is none.
    pub fn parse(text: &str) -> Option<Method> {
        [Method::Get, Method::Post, Method::Put, Method::Delete, Method::Patch]
            .into_iter()
            .find(|method| method.as_str() == text)
    }

    /// The method as it stands in a request line.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Patch => "PATCH",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One request to sign. Every byte is the caller's and nothing has been believed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The name of the credential to sign with.
    pub credential: String,
    /// What to sign.
    pub wanted: Wanted,
}

/// What an ask wants signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A REST request.
    Request(Request),
    /// A WebSocket login.
    Session(Channel),
}

/// A REST request as the bot will send it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path with its query, as it will stand in the request line.
    pub path: String,
    /// The body, byte for byte. An empty body is no body.
    pub body: Option<String>,
}

/// Which of an exchange's private WebSocket addresses a session is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// Orders, balances, positions.
    #[default]
    Private,
    /// Algo orders, grids, deposits and the like.
    Business,
}

impl Channel {
    /// The name as it stands in an ask.
    pub fn as_str(self) -> &'static str {
        match self {
            Channel::Private => "private",
            Channel::Business => "business",
        }
    }
}
