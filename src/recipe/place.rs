//! Where a signature and what goes with it are put: headers of a request, members of a login message.

use crate::recipe::template::{Template, TemplateError, Values};
use crate::types::ask::Method;
use crate::types::credential::Environment;
use serde_json::Value;
use std::sync::Arc;

/// One header that a signed request carries.
#[derive(Clone, Debug)]
pub struct Header {
    /// The name as the exchange writes it. Shared, because every signature hands it out.
    pub name: Arc<str>,
    /// The value.
    pub value: Template,
    /// Only with this method, where given.
    pub method: Option<Method>,
    /// Only with credentials of this environment, where given.
    pub environment: Option<Environment>,
}

impl Header {
    /// Whether a request with this method and environment carries it.
    pub fn applies(&self, method: Method, environment: Environment) -> bool {
        self.method.is_none_or(|only| only == method) && self.environment.is_none_or(|only| only == environment)
    }

    /// Whether it says who asks and in which environment, rather than what kind of body follows.
    pub fn authenticates(&self) -> bool {
        self.environment.is_some() || self.value.fields().next().is_some()
    }
}

/// A JSON message whose texts are templates.
#[derive(Clone, Debug)]
pub enum Message {
    /// A text.
    Text(Template),
    /// A number, a boolean or null, as it is.
    Constant(Value),
    /// An array.
    List(Vec<Message>),
    /// An object; the members keep the order of the recipe.
    Object(Vec<(String, Message)>),
}

impl Message {
    /// Compiles every text in a message.
    pub fn parse(value: Value) -> Result<Message, TemplateError> {
        Ok(match value {
            Value::String(text) => Message::Text(Template::parse(&text)?),
            Value::Array(items) => Message::List(items.into_iter().map(Message::parse).collect::<Result<_, _>>()?),
            Value::Object(members) => {
                let members = members.into_iter().map(|(name, value)| Ok((name, Message::parse(value)?)));
                Message::Object(members.collect::<Result<_, _>>()?)
            }
            constant => Message::Constant(constant),
        })
    }

    /// Fills it in.
    pub fn render(&self, values: &Values<'_>) -> Value {
        match self {
            Message::Text(template) => Value::String(template.render(values)),
            Message::Constant(value) => value.clone(),
            Message::List(items) => items.iter().map(|item| item.render(values)).collect(),
            Message::Object(members) => {
                members.iter().map(|(name, member)| (name.clone(), member.render(values))).collect()
            }
        }
    }

    /// Every template in it.
    pub fn templates(&self) -> Vec<&Template> {
        match self {
            Message::Text(template) => vec![template],
            Message::Constant(_) => Vec::new(),
            Message::List(items) => items.iter().flat_map(Message::templates).collect(),
            Message::Object(members) => members.iter().flat_map(|(_, member)| member.templates()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_message_keeps_its_order_and_its_constants() {
        let message =
            Message::parse(json!({ "op": "login", "args": [{ "z": "{api_key}", "a": 1, "n": null }] })).unwrap();
        let values = Values { api_key: "k", ..Values::default() };
        assert_eq!(message.render(&values).to_string(), r#"{"op":"login","args":[{"z":"k","a":1,"n":null}]}"#);
        let texts: Vec<_> = message.templates().iter().map(|template| template.render(&values)).collect();
        assert_eq!(texts, ["login", "k"]);
    }

    #[test]
    fn a_header_may_be_limited_to_a_method_and_an_environment() {
        let only = |method, environment| Header {
            name: "X".into(),
            value: Template::parse("1").unwrap(),
            method,
            environment,
        };
        assert!(only(None, None).applies(Method::Get, Environment::Live));
        assert!(!only(Some(Method::Post), None).applies(Method::Get, Environment::Live));
        assert!(!only(None, Some(Environment::Demo)).applies(Method::Get, Environment::Live));
        assert!(only(Some(Method::Post), Some(Environment::Demo)).applies(Method::Post, Environment::Demo));
    }

    #[test]
    fn a_header_authenticates_by_its_fields_or_by_its_environment() {
        let header = |value: &str, environment| Header {
            name: "X".into(),
            value: Template::parse(value).unwrap(),
            method: Some(Method::Post),
            environment,
        };
        assert!(header("{api_key}", None).authenticates());
        assert!(header("1", Some(Environment::Demo)).authenticates());
        assert!(!header("application/json", None).authenticates());
    }
}
