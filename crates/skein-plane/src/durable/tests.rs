//! What the plane's tests look at in a plane that keeps things.

use super::Durable;

impl Durable {
    /// Whether no commit is left that somebody's messages wait for.
    pub(crate) fn is_attended(&self) -> bool {
        self.unattended.lock().is_empty()
    }
}
