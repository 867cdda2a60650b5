//! The mutex behind which the vault and its ledger keep what many threads share: parking_lot's, which does not go bad when
//! a holder panics.
//!
//! With the feature `model-check`, and in unit tests only, it is shuttle's instead: then a test decides who goes first
//! wherever threads meet, and tries out thousands of orders that a machine with a few cores would hardly ever show.
//! Nothing that ships can be built that way.

/// A mutex around a value.
#[cfg(not(all(test, feature = "model-check")))]
pub type Mutex<T> = parking_lot::Mutex<T>;
/// Holds a mutex until it is dropped.
#[cfg(not(all(test, feature = "model-check")))]
pub type MutexGuard<'a, T> = parking_lot::MutexGuard<'a, T>;

/// A mutex around a value.
#[cfg(all(test, feature = "model-check"))]
pub type Mutex<T> = modelled::Mutex<T>;
/// Holds a mutex until it is dropped.
#[cfg(all(test, feature = "model-check"))]
pub type MutexGuard<'a, T> = shuttle::sync::MutexGuard<'a, T>;

#[cfg(all(test, feature = "model-check"))]
mod modelled {
    use shuttle::rand::{Rng, thread_rng};
    use shuttle::sync::MutexGuard;
    use std::sync::{PoisonError, TryLockError};
    use std::time::Duration;

    /// Shuttle's mutex with the functions of parking_lot's.
    #[derive(Debug)]
    pub struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        /// A mutex around this.
        pub fn new(value: T) -> Mutex<T> {
            Mutex(shuttle::sync::Mutex::new(value))
        }

        /// Waits until nobody else holds it.
        pub fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }

        /// Takes it if nobody holds it.
        pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            match self.0.try_lock() {
                Ok(guard) => Some(guard),
                Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => None,
            }
        }

        /// Takes it if nobody holds it, and waits for it otherwise or not: no time passes in a model, so the time that was
        /// given may be over at any moment.
        pub fn try_lock_for(&self, _timeout: Duration) -> Option<MutexGuard<'_, T>> {
            self.try_lock().or_else(|| thread_rng().gen_bool(0.5).then(|| self.lock()))
        }
    }
}
