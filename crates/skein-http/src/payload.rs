//! Payloads in listings: their length always, their first bytes only for those who ask.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;

use crate::{problem::Problem, query::Parameters};

/// The parameter by which payloads are asked for.
pub(crate) const PARAMETER: &str = "payload_bytes_max";
/// Bytes of a payload that are shown at most: a page of them stays well below a megabyte.
const SHOWN_BYTES_MAX: usize = 4096;

/// How much is shown of each payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown(usize);

impl Shown {
    pub(crate) fn take(parameters: &mut Parameters) -> Result<Self, Problem> {
        parameters.take_number(PARAMETER, &(0..=SHOWN_BYTES_MAX), 0).map(Self)
    }

    /// The first bytes in base64, when any are wanted.
    pub(crate) fn of(self, payload: &Bytes) -> Option<String> {
        (self.0 > 0).then(|| STANDARD.encode(payload.get(..self.0).unwrap_or(payload)))
    }
}
