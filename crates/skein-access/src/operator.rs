//! The operator's token: proof that somebody on the node's machine may read the node's data directory.
//!
//! A node makes one at each start and writes it where only its owner reads it; who has it administers the node over HTTP
//! without being a user, which is how the first user comes in. Nothing here touches a file; the token never shows itself.

use std::fmt;

use subtle::ConstantTimeEq;

/// Random bytes a token is made of.
pub const OPERATOR_TOKEN_BYTES: usize = 32;

/// The token of one life of a node.
#[derive(Clone)]
pub struct OperatorToken(String);

impl OperatorToken {
    /// The token of these random bytes.
    #[must_use]
    pub fn new(random: [u8; OPERATOR_TOKEN_BYTES]) -> Self {
        Self(random.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The token as the operator's file and the requests of its readers have it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether `given` is this token. How much of it is right shows in no time.
    #[must_use]
    pub fn is(&self, given: &str) -> bool {
        bool::from(self.0.as_bytes().ct_eq(given.as_bytes()))
    }
}

impl fmt::Debug for OperatorToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OperatorToken(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_itself_only_and_shows_itself_to_nobody() {
        let token = OperatorToken::new([0xa7; OPERATOR_TOKEN_BYTES]);
        assert!(token.is(&"a7".repeat(OPERATOR_TOKEN_BYTES)));
        for other in ["", "a7", &"A7".repeat(OPERATOR_TOKEN_BYTES), &"a7".repeat(OPERATOR_TOKEN_BYTES + 1)] {
            assert!(!token.is(other), "{other}");
        }
        assert!(!format!("{token:?}").contains("a7"));
    }
}
