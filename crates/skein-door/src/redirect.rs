//! Where clients go while this node is being emptied.
//!
//! One value for all listeners. The node switches it on; connections ask it when a CONNECT comes and when they are told to
//! go. It never looks for other servers itself.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use arc_swap::ArcSwapOption;
use skein_types::{ByteString, Code};

/// Whether new clients are sent away, and where to.
#[derive(Debug, Default)]
pub struct Redirect(ArcSwapOption<Elsewhere>);

#[derive(Debug)]
struct Elsewhere {
    references: Vec<ByteString>,
    next: AtomicUsize,
}

impl Redirect {
    /// From now on no new clients are taken; they are named one of `references` each, in turn.
    pub fn begin(&self, references: &[Arc<str>]) {
        let references = references.iter().map(|reference| ByteString::from(&**reference)).collect();
        self.0.store(Some(Arc::new(Elsewhere { references, next: AtomicUsize::new(0) })));
    }

    /// Clients are taken again.
    pub fn end(&self) {
        self.0.store(None);
    }

    /// What a client that connects is refused with, if it is.
    #[must_use]
    pub fn refusal(&self) -> Option<Code> {
        let elsewhere = self.0.load();
        let elsewhere = elsewhere.as_ref()?;
        Some(if elsewhere.references.is_empty() { Code::ServerBusy } else { Code::UseAnotherServer })
    }

    /// What a connected client is told to go with.
    #[must_use]
    pub fn farewell(&self) -> Code {
        let elsewhere = self.0.load();
        let has_other = elsewhere.as_ref().is_some_and(|elsewhere| !elsewhere.references.is_empty());
        if has_other { Code::UseAnotherServer } else { Code::ServerShuttingDown }
    }

    /// The server the next client is sent to.
    #[must_use]
    pub fn reference(&self) -> Option<ByteString> {
        let elsewhere = self.0.load();
        let elsewhere = elsewhere.as_ref()?;
        let turn = elsewhere.next.fetch_add(1, Relaxed).checked_rem(elsewhere.references.len())?;
        elsewhere.references.get(turn).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_spread_over_the_servers() {
        let redirect = Redirect::default();
        assert_eq!((redirect.refusal(), redirect.reference()), (None, None));
        redirect.begin(&["a:1".into(), "b:1".into()]);
        assert_eq!(
            (redirect.refusal(), redirect.farewell()),
            (Some(Code::UseAnotherServer), Code::UseAnotherServer)
        );
        let mut given: Vec<_> = (0..4).filter_map(|_| redirect.reference()).collect();
        given.sort();
        assert_eq!(given, ["a:1", "a:1", "b:1", "b:1"]);
        redirect.begin(&[]);
        assert_eq!(
            (redirect.refusal(), redirect.farewell()),
            (Some(Code::ServerBusy), Code::ServerShuttingDown)
        );
        assert_eq!(redirect.reference(), None);
        redirect.end();
        assert_eq!(redirect.refusal(), None);
    }
}
