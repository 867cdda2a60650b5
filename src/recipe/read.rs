//! What an ask is: the endpoint it asks for and what it would do there, or why it may not be signed whatever the
//! policy says.
//!
//! The path and the body are joined without a mark before they are signed at many exchanges, so everything that could
//! move the border between them is refused here: the path's characters, where the body begins, and that the body is
//! one JSON value which every parser reads the same way.

use crate::recipe::Recipe;
use crate::recipe::endpoint::Listed;
use crate::recipe::json::{Document, Kind};
use crate::recipe::query::{self, QueryError};
use crate::recipe::template::split_target;
use crate::types::ask::{Method, Request, Wanted};
use crate::types::decision::{Code, Denial};
use crate::types::endpoint::Endpoint;
use crate::types::facts::{Facts, Subject};

/// What an ask is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading<'a> {
    /// The endpoint it asks for.
    pub endpoint: &'a Endpoint,
    /// What it would do there.
    pub facts: Facts<'a>,
}

impl<'a> Reading<'a> {
    fn without_facts(endpoint: &'a Endpoint) -> Reading<'a> {
        Reading { endpoint, facts: Facts { effect: endpoint.effect, subject: Subject::Unknown } }
    }
}

impl Recipe {
    /// Reads an ask: which endpoint it is for, and what its body says. Refuses what is not listed, and whatever two
    /// programs could read differently. Bytes are never changed: what passes is signed as it is.
    pub fn read<'a>(&'a self, wanted: &'a Wanted) -> Result<Reading<'a>, Denial> {
        match wanted {
            Wanted::Request(request) => self.read_request(request),
            Wanted::Session(_) => self.session_endpoint().map(Reading::without_facts).ok_or_else(no_session),
        }
    }

    fn read_request<'a>(&'a self, request: &'a Request) -> Result<Reading<'a>, Denial> {
        let (path, query) = split_target(&request.path);
        query::check_path(path).map_err(not_canonical)?;
        let listed = self.table.find(request.method, path).ok_or_else(|| self.unknown(path))?;
        self.read_query(request.method, query)?;
        let document = self.read_body(listed, request.body.as_deref().unwrap_or(""))?;
        Ok(self.read_facts(listed, document.as_ref()))
    }

    fn read_query(&self, method: Method, query: Option<&str>) -> Result<(), Denial> {
        let Some(query) = query else { return Ok(()) };
        if !self.request.query_methods.contains(&method) {
            return Err(Denial::new(
                Code::PathNotCanonical,
                "this method takes no query",
                "put the parameters into the body and leave out everything from `?` on",
            ));
        }
        query::check_query(query).map_err(not_canonical)
    }

    fn read_facts<'a>(&'a self, listed: &'a Listed, body: Option<&Document<'a>>) -> Reading<'a> {
        let Some(form) = &listed.form else { return Reading::without_facts(&listed.endpoint) };
        let facts = form.read(body.map(Document::root), listed.endpoint.effect, self.instruments.as_ref());
        Reading { endpoint: &listed.endpoint, facts }
    }

    fn read_body<'a>(&self, listed: &Listed, body: &'a str) -> Result<Option<Document<'a>>, Denial> {
        if body.is_empty() {
            return Ok(None);
        }
        if !self.request.body_methods.contains(&listed.endpoint.method) {
            return Err(Denial::new(
                Code::BodyUnexpected,
                "this method takes no body",
                "put the parameters into the query and leave out the body",
            ));
        }
        let document = Document::parse(body).map_err(|error| ambiguous(format!("the body is refused: {error}")))?;
        match document.root().kind() {
            Kind::Object | Kind::Array => Ok(Some(document)),
            Kind::Text if listed.bare_string_body => Ok(Some(document)),
            _ => Err(ambiguous("the body is neither an object nor an array")),
        }
    }

    fn unknown(&self, path: &str) -> Denial {
        let help = if self.table.has_path(path) {
            "the recipe lists this path with another method"
        } else {
            "paths are compared byte by byte; `signvault recipe show` lists them"
        };
        Denial::new(Code::EndpointUnknown, "the recipe does not list this method and path", help)
    }
}

fn not_canonical(error: QueryError) -> Denial {
    let help = match error {
        QueryError::Path => "send the path as the exchange documents it, from the first `/`, without a host",
        _ => "write the query as `name=value` pairs joined by `&`, each name once, values percent-encoded",
    };
    Denial::new(Code::PathNotCanonical, error.to_string(), help)
}

fn ambiguous(detail: impl Into<std::borrow::Cow<'static, str>>) -> Denial {
    let help = "send one JSON object or array, each name once, with nothing before or after it";
    Denial::new(Code::BodyAmbiguous, detail, help)
}

fn no_session() -> Denial {
    let help = "this exchange has no WebSocket login in its recipe";
    Denial::new(Code::EndpointUnknown, "the recipe has no session login", help)
}

#[cfg(test)]
mod tests;
