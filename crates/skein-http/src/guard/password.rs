//! Having the password of a request checked, for as long as a request may take for it. A request that is gone leaves the
//! queue.

use std::{net::IpAddr, time::Duration};

use skein_access::{Authenticated, Entered};
use skein_door::check_password;
use skein_types::Code;

use crate::door::Shared;

/// How long a request waits for a check.
const PASSWORD_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) async fn check(
    shared: &Shared,
    user: &str,
    password: &[u8],
    address: IpAddr,
) -> Result<Authenticated, Code> {
    let deadline = shared.now().after(PASSWORD_TIMEOUT);
    match shared.passwords.enter(user, password, address, deadline)? {
        Entered::Known(proof) => Ok(proof),
        Entered::Waiting(ticket) => {
            let outcome = check_password(ticket, || shared.now());
            tokio::time::timeout(PASSWORD_TIMEOUT, outcome).await.unwrap_or(Err(Code::ServerBusy))
        }
    }
}
