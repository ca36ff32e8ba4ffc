//! A route: the result of one match, flattened for delivery, and the cache of them each publisher keeps.

use std::{collections::HashMap, sync::Arc};

use foldhash::fast::RandomState;
use skein_cluster::Peer;
use skein_types::{ClientId, QoS, SessionKey, Topic};

use super::{Group, Matcher, Subscribers, nodes::Nodes};
use crate::{session::Session, subscription::SubscribeOptions, wire::SubscriptionIds};

/// Routes a publisher remembers; a publisher of more topics than this starts over, which costs one match each.
const CACHE_MAX: usize = 1024;

/// One session a topic reaches, however many of its subscriptions match (MQTT-3.3.4-2, MQTT-3.3.4-3).
#[derive(Clone, Debug)]
pub struct Match {
    /// The session.
    pub session: Arc<Session>,
    /// Highest quality of service of the subscriptions that match.
    pub qos: QoS,
    /// Whether one of them keeps the retain flag as published.
    pub retain_as_published: bool,
    /// Their identifiers.
    pub ids: SubscriptionIds,
}

/// Everybody a topic reaches.
#[derive(Debug)]
pub struct Route {
    /// The topic in memory of its own.
    pub topic: Topic,
    /// Whether the publisher may publish there; when not, nobody is listed.
    pub allowed: bool,
    /// Sessions with ordinary subscriptions, each once.
    pub direct: Vec<Match>,
    /// Shared groups, each of which one member takes a message for.
    pub groups: Vec<Arc<Group>>,
    /// Other nodes that get a message, each once; they deliver it to their own subscribers.
    pub(crate) nodes: Vec<Arc<Peer>>,
    generation: u64,
}

/// Who publishes, for the choice of those who get it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'a> {
    pub(crate) key: SessionKey,
    pub(crate) client: Option<&'a ClientId>,
    pub(crate) reach: Reach,
}

/// How far a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// To whoever subscribes, on any node.
    Cluster,
    /// It came from another node: to ordinary subscribers on this one.
    Here,
}

impl Route {
    /// Whether nobody would get the message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.direct.is_empty() && self.groups.is_empty() && self.nodes.is_empty()
    }

    /// Whether other nodes may have to take a message before its publisher is answered.
    pub(crate) fn goes_further(&self) -> bool {
        !self.nodes.is_empty() || self.groups.iter().any(|group| !group.elsewhere().is_empty())
    }

    /// Whether a message at QoS 1 or 2 may be kept on disk for one of them.
    pub(crate) fn has_durable_sessions(&self) -> bool {
        let mut members = self.groups.iter().flat_map(|group| group.members());
        self.direct.iter().any(|found| found.session.is_durable())
            || members.any(|member| member.session.is_durable())
    }

    pub(super) fn denied(topic: &Topic, generation: u64) -> Self {
        Self {
            topic: topic.detached(),
            allowed: false,
            direct: Vec::new(),
            groups: Vec::new(),
            nodes: Vec::new(),
            generation,
        }
    }
}

/// Collects the subscribers of all matching filters into one route.
pub(super) struct Builder<'a> {
    topic: &'a Topic,
    generation: u64,
    origin: Origin<'a>,
    direct: Vec<Match>,
    groups: Vec<Arc<Group>>,
    nodes: Vec<Arc<Peer>>,
    filters: usize,
}

impl<'a> Builder<'a> {
    pub(super) fn new(topic: &'a Topic, generation: u64, origin: Origin<'a>) -> Self {
        Self {
            topic,
            generation,
            origin,
            direct: Vec::new(),
            groups: Vec::new(),
            nodes: Vec::new(),
            filters: 0,
        }
    }

    pub(super) fn add(&mut self, subscribers: &Subscribers) {
        self.filters += 1;
        for subscriber in subscribers.direct() {
            let SubscribeOptions { qos, no_local, retain_as_published, id, partly_allowed } =
                subscriber.options;
            let session = &subscriber.session;
            // MQTT-3.8.3-3.
            if no_local && session.key() == self.origin.key {
                continue;
            }
            if partly_allowed && !session.may_receive(self.topic) {
                continue;
            }
            let ids = id.map_or(SubscriptionIds::None, SubscriptionIds::One);
            self.direct.push(Match { session: session.clone(), qos, retain_as_published, ids });
        }
        if self.origin.reach == Reach::Cluster {
            self.groups.extend(subscribers.groups().iter().cloned());
            self.nodes.extend(subscribers.nodes().iter().cloned());
        }
    }

    pub(super) fn finish(self, nodes: Option<&Nodes>) -> Route {
        let Self { topic, generation, origin, mut direct, groups, nodes: interested, filters } = self;
        if filters > 1 {
            // Overlapping subscriptions of one session become one delivery.
            direct.sort_by_key(|found| found.session.key());
            direct.dedup_by(|later, first| {
                let same = later.session.key() == first.session.key();
                if same {
                    first.qos = first.qos.max(later.qos);
                    first.retain_as_published |= later.retain_as_published;
                    first.ids = later.ids.iter().fold(first.ids.clone(), |ids, id| ids.with(id));
                }
                same
            });
        }
        let nodes = match nodes {
            Some(nodes) if origin.reach == Reach::Cluster => nodes.targets(topic, origin.client, interested),
            _ => Vec::new(),
        };
        Route { topic: topic.detached(), allowed: true, direct, groups, nodes, generation }
    }
}

/// The routes of the topics one publisher used last.
#[derive(Debug, Default)]
pub(crate) struct RouteCache {
    last: Option<Arc<Route>>,
    #[expect(clippy::box_collection, reason = "most publishers have one topic and no table")]
    routes: Option<Box<HashMap<Topic, Arc<Route>, RandomState>>>,
}

impl RouteCache {
    /// The route of `topic`, matched anew when subscriptions or access rules changed since. `may_publish` is asked
    /// only then.
    #[inline]
    pub(crate) fn route(
        &mut self,
        matcher: &Matcher,
        topic: &Topic,
        origin: Origin<'_>,
        may_publish: impl FnOnce() -> bool,
    ) -> Arc<Route> {
        let generation = matcher.generation();
        if let Some(last) = &self.last
            && last.generation == generation
            && last.topic == *topic
        {
            return last.clone();
        }
        self.another(matcher, topic, origin, generation, may_publish)
    }

    /// The route of a topic that is not the last one.
    #[inline(never)]
    fn another(
        &mut self,
        matcher: &Matcher,
        topic: &Topic,
        origin: Origin<'_>,
        generation: u64,
        may_publish: impl FnOnce() -> bool,
    ) -> Arc<Route> {
        let cached = self.routes.as_ref().and_then(|routes| routes.get(topic));
        let route = match cached {
            Some(route) if route.generation == generation => route.clone(),
            _ => Arc::new(if may_publish() {
                matcher.route_of(topic, origin)
            } else {
                Route::denied(topic, generation)
            }),
        };
        self.remember(route.clone());
        route
    }

    /// The first topic needs no table: most publishers have only one.
    fn remember(&mut self, route: Arc<Route>) {
        let before = self.last.replace(route.clone());
        if self.routes.is_none() && before.is_none_or(|before| before.topic == route.topic) {
            return;
        }
        let routes = self.routes.get_or_insert_default();
        if routes.len() >= CACHE_MAX {
            routes.clear();
        }
        routes.insert(route.topic.clone(), route);
    }
}
