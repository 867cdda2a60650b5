//! The endpoints of an exchange. What is not listed is not signed.

use crate::recipe::facts::Form;
use crate::types::ask::Method;
use crate::types::endpoint::Endpoint;

/// One row of a recipe's table: the endpoint, and what helps a person to judge it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// What policies and the ledger see.
    pub endpoint: Endpoint,
    /// The permission that the exchange asks of the key; none for public data.
    pub permission: Option<Box<str>>,
    /// What the exchange calls it.
    pub title: Option<Box<str>>,
    /// What can go wrong, in a few words.
    pub danger: Option<Box<str>>,
    /// Anything else worth knowing.
    pub note: Option<Box<str>>,
    /// Whether the body may also be one JSON string.
    pub bare_string_body: bool,
    /// How facts are read from the body, where they are.
    pub form: Option<Form>,
}

/// All endpoints of a recipe.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Sorted by path and method, each pair once.
    rows: Vec<Listed>,
}

impl Table {
    /// Adds a row; false, and nothing is added, if its endpoint is there already.
    pub fn insert(&mut self, row: Listed) -> bool {
        match self.place(row.endpoint.method, &row.endpoint.path) {
            Ok(_) => false,
            Err(at) => {
                self.rows.insert(at, row);
                true
            }
        }
    }

    /// The row of a method and an exact path.
    pub fn find(&self, method: Method, path: &str) -> Option<&Listed> {
        self.place(method, path).ok().map(|at| &self.rows[at])
    }

    /// Whether the path is listed with any method.
    pub fn has_path(&self, path: &str) -> bool {
        let at = self.rows.partition_point(|row| &*row.endpoint.path < path);
        self.rows.get(at).is_some_and(|row| &*row.endpoint.path == path)
    }

    /// The row of a method and an exact path, to be changed.
    pub fn find_mut(&mut self, method: Method, path: &str) -> Option<&mut Listed> {
        self.place(method, path).ok().map(|at| &mut self.rows[at])
    }

    /// Every row, by grant from the mildest, then by path.
    pub fn by_grant(&self) -> Vec<&Listed> {
        let mut rows: Vec<_> = self.rows.iter().collect();
        // Stable: the order by path stays within a grant.
        rows.sort_by_key(|row| row.endpoint.grant);
        rows
    }

    /// Where a row stands, or where it would.
    fn place(&self, method: Method, path: &str) -> Result<usize, usize> {
        self.rows.binary_search_by(|row| (&*row.endpoint.path, row.endpoint.method).cmp(&(path, method)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::endpoint::{Effect, Grant};

    fn row(method: Method, path: &str, grant: Grant) -> Listed {
        Listed {
            endpoint: Endpoint { method, path: path.into(), grant, effect: Effect::None },
            permission: None,
            title: None,
            danger: None,
            note: None,
            bare_string_body: false,
            form: None,
        }
    }

    #[test]
    fn rows_are_found_by_method_and_exact_path() {
        let order = |method, grant| row(method, "/trade/order", grant);
        let mut table = Table::default();
        for row in [
            order(Method::Post, Grant::Trade),
            row(Method::Get, "/trade", Grant::Read),
            order(Method::Get, Grant::Read),
        ] {
            assert!(table.insert(row));
        }
        let grant = |method, path| table.find(method, path).map(|row| row.endpoint.grant);
        assert_eq!(grant(Method::Get, "/trade/order"), Some(Grant::Read));
        assert_eq!(grant(Method::Post, "/trade/order"), Some(Grant::Trade));
        assert_eq!(grant(Method::Put, "/trade/order"), None);
        assert_eq!(grant(Method::Post, "/trade/order/"), None);
        assert_eq!(grant(Method::Get, "/Trade"), None);
        assert!(table.has_path("/trade/order") && !table.has_path("/trade/orde"));
        let grants: Vec<_> = table.by_grant().iter().map(|row| row.endpoint.grant).collect();
        assert_eq!(grants, [Grant::Read, Grant::Read, Grant::Trade]);
    }

    #[test]
    fn an_endpoint_stands_once() {
        let mut table = Table::default();
        assert!(table.insert(row(Method::Get, "/a", Grant::Withdraw)));
        assert!(!table.insert(row(Method::Get, "/a", Grant::Read)));
        let grants: Vec<_> = table.by_grant().iter().map(|row| row.endpoint.grant).collect();
        assert_eq!(grants, [Grant::Withdraw]);
    }
}
