//! The strategy in force: which one the configuration names, and another one while the node runs.

use std::sync::Arc;

use arc_swap::ArcSwap;
use skein_cluster::{
    NodeInfo,
    strategy::{Outgoing, Strategy, Targets, View},
};
use skein_types::ClientId;

/// A strategy that can be replaced. What the plane has kept of the answers of the one before is asked for again.
#[derive(Debug)]
pub(crate) struct Current(ArcSwap<InForce>);

#[derive(Debug)]
struct InForce {
    strategy: Arc<dyn Strategy>,
    /// Makes the generation move on when another strategy, which counts from its own start, takes over.
    base: u64,
}

impl Current {
    /// Begins with `strategy`.
    pub(crate) fn new(strategy: Arc<dyn Strategy>) -> Arc<Self> {
        Arc::new(Self(ArcSwap::from_pointee(InForce { strategy, base: 0 })))
    }

    /// Puts another strategy into force. It is not told of what it missed; it sees nodes and subscriptions in every question.
    pub(crate) fn replace(&self, strategy: Arc<dyn Strategy>) {
        let base = self.generation().saturating_add(1);
        self.0.store(Arc::new(InForce { strategy, base }));
    }
}

impl Strategy for Current {
    fn session_up(&self, client: &ClientId) {
        self.0.load().strategy.session_up(client);
    }

    fn session_down(&self, client: &ClientId) {
        self.0.load().strategy.session_down(client);
    }

    fn node_up(&self, node: &NodeInfo) {
        self.0.load().strategy.node_up(node);
    }

    fn node_down(&self, node: &NodeInfo) {
        self.0.load().strategy.node_down(node);
    }

    fn targets(&self, message: &Outgoing<'_>, view: &View<'_>) -> Targets {
        self.0.load().strategy.targets(message, view)
    }

    fn generation(&self) -> u64 {
        let in_force = self.0.load();
        in_force.base.saturating_add(in_force.strategy.generation())
    }
}

#[cfg(test)]
mod tests {
    use skein_cluster::strategy::Strategies;
    use skein_types::Topic;

    use super::*;

    #[test]
    fn another_strategy_makes_the_plane_ask_again() {
        let named = |name| Strategies::new().make(name).unwrap();
        let current = Current::new(named("interest"));
        let topic = Topic::try_from("t").unwrap();
        let ask = || {
            let view = View { interested: &[], live: &[] };
            current.targets(&Outgoing { topic: &topic, publisher: None }, &view)
        };
        let before = (current.generation(), ask());
        assert_eq!(before.1, Targets::Interested);
        current.replace(named("broadcast"));
        assert_eq!(ask(), Targets::All);
        let then = current.generation();
        assert!(then > before.0);
        current.replace(named("interest"));
        assert!(current.generation() > then);
    }
}
