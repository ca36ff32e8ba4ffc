//! Puts a changed access list into effect on clients that are connected already.
//!
//! Called after every change of the list, by the node on reload and by the HTTP door.

use skein_access::{BoundAccess, Verdict};
use skein_types::{Code, Moment};

use crate::{batch::Batch, plane::Plane};

impl Plane {
    /// Ends subscriptions that are not allowed any more, and tells and closes clients whose user is gone or may not have
    /// their client id any more.
    pub fn enforce_access(&self, batch: &mut Batch, now: Moment) {
        self.access_changed(batch);
        for session in self.sessions().all() {
            let may_stay =
                |access: &BoundAccess| !access.is_revoked() && access.check_connect() == Verdict::Allow;
            if session.access().is_some_and(|access| !may_stay(&access)) {
                self.disconnect(&session, Code::NotAuthorized, false, batch, now);
            }
        }
    }
}
