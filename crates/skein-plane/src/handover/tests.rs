//! What the plane's tests look at in a plane that keeps things.

use crate::Plane;

impl Plane {
    /// Whether no commit is left that somebody's messages wait for.
    pub(crate) fn is_attended(&self) -> bool {
        self.unattended.lock().is_none()
    }
}
