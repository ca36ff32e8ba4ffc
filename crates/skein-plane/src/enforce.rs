//! Puts a changed access list into effect on clients that are connected already.
//!
//! Called after every change of the list, by the node on reload and by the HTTP door.

use skein_types::{Code, Moment};

use crate::{plane::Plane, publish::Batch};

impl Plane {
    /// Ends subscriptions that are not allowed any more, and tells and closes clients whose user is gone.
    pub fn enforce_access(&self, batch: &mut Batch, now: Moment) {
        self.access_changed(batch);
        for session in self.sessions().all() {
            if session.access().is_some_and(|access| access.is_revoked()) {
                self.disconnect(&session, Code::NotAuthorized, false, batch, now);
            }
        }
    }
}
