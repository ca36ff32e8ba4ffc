//! The rules that can apply to one identity, and the walk over them that decides.
//!
//! A door binds each connection once and asks on every publish, subscribe and partly allowed delivery. A check
//! walks the identity's own rules only, allocates nothing and takes no lock. When the list is replaced the rules
//! are derived again at the next check.

use std::sync::Arc;

use arc_swap::ArcSwap;
use skein_types::{Filter, Topic};

use super::{Access, Identity, Subscribe, UserSource, Verdict, list::AccessList};

/// The access rights of one connection. Share it freely: every method takes `&self`.
#[derive(Debug)]
pub struct BoundAccess {
    access: Arc<Access>,
    identity: Identity,
    rules: ArcSwap<IdentityRules>,
}

/// What one access list says about one identity; it stays as it is when the list is replaced.
#[derive(Debug)]
pub struct IdentityRules {
    generation: u64,
    publish: Box<[BoundRule]>,
    subscribe: Box<[BoundRule]>,
    connect: Verdict,
    otherwise: Verdict,
    revoked: bool,
}

#[derive(Debug)]
struct BoundRule {
    verdict: Verdict,
    filters: Arc<[Filter]>,
}

impl BoundAccess {
    pub(super) fn new(access: Arc<Access>, identity: Identity) -> Self {
        let rules = ArcSwap::from_pointee(IdentityRules::derive(&access.list(), &identity));
        Self { access, identity, rules }
    }

    /// Whom the rules are bound to.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Number of the access list in force. A cached decision holds as long as this number stays the same.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.access.generation()
    }

    /// See [`IdentityRules::check_publish`].
    #[must_use]
    pub fn check_publish(&self, topic: &Topic) -> Verdict {
        self.refresh();
        self.rules.load().check_publish(topic)
    }

    /// See [`IdentityRules::check_subscribe`].
    #[must_use]
    pub fn check_subscribe(&self, filter: &Filter) -> Subscribe {
        self.refresh();
        self.rules.load().check_subscribe(filter)
    }

    /// See [`IdentityRules::check_receive`].
    #[must_use]
    pub fn check_receive(&self, topic: &Topic) -> Verdict {
        self.refresh();
        self.rules.load().check_receive(topic)
    }

    /// Whether this client may be connected under its id; yes where no rule speaks of it.
    #[must_use]
    pub fn check_connect(&self) -> Verdict {
        self.refresh();
        self.rules.load().connect
    }

    /// Whether the user was removed from the access file since; its connection is then to be closed.
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        self.refresh();
        self.rules.load().revoked
    }

    fn refresh(&self) {
        if self.rules.load().generation != self.access.generation() {
            let rules = IdentityRules::derive(&self.access.list(), &self.identity);
            self.rules.store(Arc::new(rules));
        }
    }
}

impl IdentityRules {
    pub(super) fn derive(list: &AccessList, identity: &Identity) -> Self {
        let listed = identity.user.as_ref().and_then(|user| list.user(user));
        let revoked = identity.user.is_some() && identity.source == UserSource::List && listed.is_none();
        let roles = listed.map_or(&*identity.roles, |user| &*user.roles);
        let rules = if revoked { &[] } else { list.rules() };
        let (mut publish, mut subscribe) = (Vec::new(), Vec::new());
        let mut connect = None;
        for rule in rules.iter().filter(|rule| rule.concerns(identity, roles)) {
            if rule.connect {
                connect = connect.or(Some(rule.verdict));
            }
            let filters = rule.filters_for(identity);
            if filters.is_empty() {
                continue;
            }
            if rule.publish {
                publish.push(BoundRule { verdict: rule.verdict, filters: Arc::clone(&filters) });
            }
            if rule.subscribe {
                subscribe.push(BoundRule { verdict: rule.verdict, filters });
            }
        }
        let otherwise = if revoked { Verdict::Deny } else { list.otherwise() };
        let (publish, subscribe) = (publish.into(), subscribe.into());
        let connect = if revoked { Verdict::Deny } else { connect.unwrap_or(Verdict::Allow) };
        Self { generation: list.generation(), publish, subscribe, connect, otherwise, revoked }
    }

    /// Whether a message may be published on `topic`.
    ///
    /// Topics that start with `$` are the server's own: no rule lets a client publish there.
    #[must_use]
    pub fn check_publish(&self, topic: &Topic) -> Verdict {
        if topic.is_system() { Verdict::Deny } else { self.first_match(&self.publish, topic) }
    }

    /// Whether a message on `topic` may be delivered under a subscription that was allowed in part.
    #[must_use]
    pub fn check_receive(&self, topic: &Topic) -> Verdict {
        self.first_match(&self.subscribe, topic)
    }

    /// Whether `filter` may be subscribed to; of a shared subscription, its filter without the group.
    ///
    /// The first rule with a filter that covers all of `filter` decides. A denying rule before it that covers
    /// only some of `filter` leaves the rest: the answer is then [`Subscribe::AllowPart`].
    #[must_use]
    pub fn check_subscribe(&self, filter: &Filter) -> Subscribe {
        let mut part = false;
        let mut verdict = self.otherwise;
        for rule in &*self.subscribe {
            if rule.filters.iter().any(|own| own.covers(filter)) {
                verdict = rule.verdict;
                break;
            }
            part |= rule.verdict == Verdict::Deny && rule.filters.iter().any(|own| own.overlaps(filter));
        }
        match (verdict, part) {
            (Verdict::Deny, _) => Subscribe::Deny,
            (Verdict::Allow, true) => Subscribe::AllowPart,
            (Verdict::Allow, false) => Subscribe::Allow,
        }
    }

    fn first_match(&self, rules: &[BoundRule], topic: &Topic) -> Verdict {
        let matching = rules.iter().find(|rule| rule.filters.iter().any(|filter| filter.matches(topic)));
        matching.map_or(self.otherwise, |rule| rule.verdict)
    }
}
