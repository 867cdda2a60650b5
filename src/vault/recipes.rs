//! The recipes, read when they are first needed: reading them takes longer than all else that a start does, and until a
//! vault is unlocked nobody asks for one.

use crate::recipe::Recipe;
use crate::types::mutex::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Recipes by the name of their exchange.
type ByName = BTreeMap<String, Arc<Recipe>>;

/// The recipes of a vault.
pub struct Recipes {
    read: fn() -> ByName,
    found: Mutex<Option<Arc<ByName>>>,
}

impl Recipes {
    /// What `read` gives, once somebody asks.
    pub fn later(read: fn() -> ByName) -> Recipes {
        Recipes { read, found: Mutex::new(None) }
    }

    /// All of them.
    pub fn all(&self) -> Arc<ByName> {
        Arc::clone(self.found.lock().get_or_insert_with(|| Arc::new((self.read)())))
    }
}

impl From<ByName> for Recipes {
    fn from(recipes: ByName) -> Recipes {
        Recipes { read: BTreeMap::new, found: Mutex::new(Some(Arc::new(recipes))) }
    }
}

impl<const N: usize> From<[(String, Arc<Recipe>); N]> for Recipes {
    fn from(recipes: [(String, Arc<Recipe>); N]) -> Recipes {
        Recipes::from(BTreeMap::from(recipes))
    }
}
