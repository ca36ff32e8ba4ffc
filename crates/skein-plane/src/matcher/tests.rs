//! The matcher against a list of all subscriptions that is searched with [`Filter::matches`], and with readers and
//! writers at once.

mod concurrent;

use std::{collections::BTreeMap, net::IpAddr, num::NonZeroU32, sync::Arc, time::Duration};

use proptest::prelude::*;
use skein_access::{Access, AccessList, Anonymous, Door, Identity};
use skein_types::{ClientId, Filter, QoS, SessionKey, SubscriptionFilter, Topic};

use super::{Group, Matcher, Origin, Reach, Route, RouteCache, SubscribeOptions};
use crate::{
    delivery::QueueLimits,
    patterns::{FREE_LEVELS, tests::long_filter},
    session::{Session, SessionLimits},
};

/// The client with this number may not receive from [`FORBIDDEN`].
const RESTRICTED: u64 = 1;
const FORBIDDEN: &str = "a/b";
const SESSIONS: u64 = 5;

pub(crate) const PLAIN: SubscribeOptions = SubscribeOptions {
    qos: QoS::AtMostOnce,
    no_local: false,
    retain_as_published: false,
    id: None,
    partly_allowed: false,
};

fn limits() -> Arc<SessionLimits> {
    Arc::new(SessionLimits {
        outbox_bytes_max: 1 << 20,
        queue: QueueLimits { messages_max: 100, bytes_max: 1 << 20 },
        slow_consumer_timeout: Duration::from_secs(1),
        subscriptions_max: 100,
        subscriptions_bytes_max: usize::MAX,
    })
}

pub(crate) fn session(key: u64) -> Arc<Session> {
    Session::new(SessionKey(key), ClientId::new(&format!("c{key}")), None, limits())
}

fn sessions() -> Vec<Arc<Session>> {
    let rules = format!(
        "[[rules]]\nallow = false\nclient_ids = ['c{RESTRICTED}']\nfilters = ['{FORBIDDEN}']\n\
         [[rules]]\nallow = true\nfilters = ['#', '$s/#']\n"
    );
    let access = Arc::new(Access::new(AccessList::parse(&rules).unwrap(), Anonymous::Always));
    let bound = |session: Arc<Session>| {
        let identity =
            Identity::anonymous(session.client_id().clone(), IpAddr::from([127, 0, 0, 1]), Door::Mqtt);
        session.bind(Some(Arc::new(access.bind(identity))));
        session
    };
    (0..SESSIONS).map(|key| bound(session(key))).collect()
}

/// A publisher of whom nothing but the session is known.
pub(super) fn from(key: SessionKey) -> Origin<'static> {
    Origin { key, client: None, reach: Reach::Cluster }
}

pub(crate) fn topic(text: &str) -> Topic {
    Topic::try_from(text).unwrap()
}

pub(crate) fn filter(text: &str) -> SubscriptionFilter {
    SubscriptionFilter::new(text).unwrap()
}

#[derive(Clone, Debug)]
enum Change {
    Subscribe(u64, SubscriptionFilter, SubscribeOptions),
    Unsubscribe(u64, SubscriptionFilter),
    /// The one of those that exist.
    UnsubscribeAny(prop::sample::Index),
}

fn any_level() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "", "$s"])
}

fn any_topic() -> impl Strategy<Value = Topic> {
    prop::collection::vec(any_level(), 1..4)
        .prop_filter_map("a topic has a character", |levels| Topic::try_from(&*levels.join("/")).ok())
}

fn any_filter() -> impl Strategy<Value = SubscriptionFilter> {
    let level = prop_oneof![2 => any_level(), 1 => Just("+")];
    let group = prop_oneof![2 => Just(""), 1 => Just("$share/g/"), 1 => Just("$share/h/")];
    (group, prop::collection::vec(level, 0..4), any::<bool>()).prop_filter_map(
        "a filter has a character",
        |(group, mut levels, all)| {
            levels.extend((all || levels.is_empty()).then_some("#"));
            SubscriptionFilter::new(&format!("{group}{}", levels.join("/"))).ok()
        },
    )
}

fn any_qos() -> impl Strategy<Value = QoS> {
    prop::sample::select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

fn any_options() -> impl Strategy<Value = SubscribeOptions> {
    (any_qos(), any::<bool>(), any::<bool>(), prop::option::of(1_u32..9), any::<bool>()).prop_map(
        |(qos, no_local, retain_as_published, id, partly_allowed)| SubscribeOptions {
            qos,
            no_local,
            retain_as_published,
            id: id.and_then(NonZeroU32::new),
            partly_allowed,
        },
    )
}

fn any_change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (0..SESSIONS, any_filter(), any_options())
            .prop_map(|(key, filter, options)| Change::Subscribe(key, filter, options)),
        1 => (0..SESSIONS, any_filter()).prop_map(|(key, filter)| Change::Unsubscribe(key, filter)),
        2 => any::<prop::sample::Index>().prop_map(Change::UnsubscribeAny),
    ]
}

type Subscription = (u64, SubscriptionFilter);

/// Every subscription, in a list.
#[derive(Debug, Default)]
struct Oracle(Vec<(Subscription, SubscribeOptions)>);

/// What the oracle says of one session: quality of service, retain flag kept, sorted identifiers.
type Expected = (QoS, bool, Vec<u32>);

impl Oracle {
    fn subscribe(&mut self, key: u64, filter: SubscriptionFilter, options: SubscribeOptions) -> bool {
        let subscription = (key, filter);
        match self.0.iter_mut().find(|(known, _)| *known == subscription) {
            Some((_, present)) => {
                *present = options;
                false
            }
            None => {
                self.0.push((subscription, options));
                true
            }
        }
    }

    fn unsubscribe(&mut self, key: u64, filter: &SubscriptionFilter) -> bool {
        let before = self.0.len();
        self.0.retain(|((other, known), _)| (*other, known) != (key, filter));
        self.0.len() < before
    }

    fn direct(&self, topic: &Topic, origin: SessionKey) -> BTreeMap<u64, Expected> {
        let mut found: BTreeMap<u64, Expected> = BTreeMap::new();
        for ((key, filter), options) in &self.0 {
            let own = options.no_local && SessionKey(*key) == origin;
            let forbidden = options.partly_allowed && *key == RESTRICTED && topic.as_str() == FORBIDDEN;
            if filter.group.is_some() || !filter.filter.matches(topic) || own || forbidden {
                continue;
            }
            let (qos, retain, ids) = found.entry(*key).or_default();
            *qos = options.qos.max(*qos);
            *retain |= options.retain_as_published;
            ids.extend(options.id.map(NonZeroU32::get));
            ids.sort_unstable();
        }
        found
    }

    fn groups(&self, topic: &Topic) -> BTreeMap<String, Vec<(u64, QoS)>> {
        let mut found: BTreeMap<String, Vec<(u64, QoS)>> = BTreeMap::new();
        for ((key, filter), options) in &self.0 {
            if filter.group.is_some() && filter.filter.matches(topic) {
                found.entry(filter.to_string()).or_default().push((*key, options.qos));
            }
        }
        found.values_mut().for_each(|members| members.sort_unstable());
        found
    }
}

fn direct_of(route: &Route) -> BTreeMap<u64, Expected> {
    let found: BTreeMap<u64, Expected> = route
        .direct
        .iter()
        .map(|found| {
            let mut ids: Vec<u32> = found.ids.iter().map(NonZeroU32::get).collect();
            ids.sort_unstable();
            (found.session.key().0, (found.qos, found.retain_as_published, ids))
        })
        .collect();
    assert_eq!(found.len(), route.direct.len(), "a session is listed twice: {:?}", route.direct);
    found
}

fn groups_of(route: &Route) -> BTreeMap<String, Vec<(u64, QoS)>> {
    let found: BTreeMap<String, Vec<(u64, QoS)>> = route
        .groups
        .iter()
        .map(|group| {
            let mut members: Vec<_> =
                group.members().iter().map(|member| (member.key().0, member.options.qos)).collect();
            members.sort_unstable();
            (group.key().to_string(), members)
        })
        .collect();
    assert_eq!(found.len(), route.groups.len(), "a group is listed twice");
    found
}

impl Matcher {
    /// Filters in the table and edges in the trie.
    fn sizes(&self) -> (usize, usize) {
        (self.literals.len(), self.trie.edges())
    }
}

proptest! {
    #[test]
    fn every_route_is_the_list_of_matching_subscriptions(
        changes in prop::collection::vec((any_change(), any_topic(), 0..SESSIONS), 1..60)
    ) {
        let sessions = sessions();
        let (matcher, mut oracle) = (Matcher::default(), Oracle::default());
        let mut caches: Vec<RouteCache> = (0..SESSIONS).map(|_| RouteCache::default()).collect();
        for (change, topic, origin) in changes {
            match change {
                Change::Subscribe(key, filter, options) => {
                    let new = matcher.subscribe(&filter, &sessions[key as usize], options).unwrap();
                    prop_assert_eq!(new, oracle.subscribe(key, filter, options));
                }
                Change::Unsubscribe(key, filter) => {
                    let found = matcher.unsubscribe(&filter, SessionKey(key));
                    prop_assert_eq!(found, oracle.unsubscribe(key, &filter));
                }
                Change::UnsubscribeAny(index) => {
                    if let Some(((key, filter), _)) = oracle.0.get(index.index(oracle.0.len().max(1))).cloned() {
                        prop_assert!(matcher.unsubscribe(&filter, SessionKey(key)));
                        oracle.unsubscribe(key, &filter);
                    }
                }
            }
            prop_assert_eq!(matcher.subscriptions(), oracle.0.len());
            let origin_key = SessionKey(origin);
            let route = caches[origin as usize].route(&matcher, &topic, from(origin_key), || true);
            prop_assert!(route.allowed);
            prop_assert_eq!(&route.topic, &topic);
            prop_assert_eq!(direct_of(&route), oracle.direct(&topic, origin_key), "{:?}", topic);
            prop_assert_eq!(groups_of(&route), oracle.groups(&topic), "{:?}", topic);
            prop_assert_eq!(route.is_empty(), oracle.direct(&topic, origin_key).is_empty() && oracle.groups(&topic).is_empty());
        }
        for ((key, filter), _) in oracle.0 {
            prop_assert!(matcher.unsubscribe(&filter, SessionKey(key)));
        }
        prop_assert_eq!(matcher.subscriptions(), 0);
        prop_assert_eq!(matcher.sizes(), (0, 0), "something is left behind");
    }

    /// More subscribers of one filter than fit into one chunk, added and removed in any order.
    #[test]
    fn many_subscribers_of_one_filter(keys in prop::collection::vec(0_u64..700, 600..1500), wildcard in any::<bool>()) {
        let matcher = Matcher::default();
        let filter = filter(if wildcard { "a/+" } else { "a/b" });
        let mut present = BTreeMap::new();
        for key in keys {
            if present.remove(&key).is_some() {
                prop_assert!(matcher.unsubscribe(&filter, SessionKey(key)));
            } else {
                prop_assert!(matcher.subscribe(&filter, &session(key), PLAIN).unwrap());
                present.insert(key, ());
            }
        }
        let route = matcher.route(&topic("a/b"), SessionKey(0));
        let found: Vec<u64> = route.direct.iter().map(|found| found.session.key().0).collect();
        prop_assert_eq!(found, present.keys().copied().collect::<Vec<_>>());
        prop_assert_eq!(matcher.subscriptions(), present.len());
        for key in present.keys() {
            prop_assert!(matcher.unsubscribe(&filter, SessionKey(*key)));
        }
        prop_assert_eq!(matcher.sizes(), (0, 0));
    }
}

#[test]
fn a_group_takes_turns() {
    let matcher = Matcher::default();
    let shared = filter("$share/g/t/+");
    for key in 0..3 {
        matcher.subscribe(&shared, &session(key), PLAIN).unwrap();
    }
    let group = matcher.group(&Filter::new("t/+").unwrap(), shared.group.as_ref().unwrap()).unwrap();
    let members = |group: &Group| -> Vec<u64> {
        group.members_from(group.next_turn()).map(|member| member.key().0).collect()
    };
    let firsts: Vec<u64> =
        (0..6).map(|_| members(&group).first().copied().expect("the group has members")).collect();
    assert_eq!(firsts, [0, 1, 2, 0, 1, 2]);
    for _ in 0..2 {
        let mut all = members(&group);
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2], "everybody is asked once");
    }
    assert!(matcher.group(&Filter::new("t/#").unwrap(), shared.group.as_ref().unwrap()).is_none());
}

#[test]
fn a_cached_denial_lasts_until_the_rules_change() {
    let (matcher, mut cache) = (Matcher::default(), RouteCache::default());
    matcher.subscribe(&filter("t"), &session(1), PLAIN).unwrap();
    let denied = cache.route(&matcher, &topic("t"), from(SessionKey(2)), || false);
    assert!(!denied.allowed && denied.is_empty());
    let again = cache.route(&matcher, &topic("t"), from(SessionKey(2)), || panic!("asked again"));
    assert!(Arc::ptr_eq(&denied, &again));
    matcher.invalidate();
    let allowed = cache.route(&matcher, &topic("t"), from(SessionKey(2)), || true);
    assert!(allowed.allowed && allowed.direct.len() == 1);
}

#[test]
fn a_publisher_of_more_topics_than_the_cache_holds_is_still_right() {
    let (matcher, mut cache) = (Matcher::default(), RouteCache::default());
    matcher.subscribe(&filter("t/7"), &session(1), PLAIN).unwrap();
    for number in (0..3000).chain(0..3000) {
        let route = cache.route(&matcher, &topic(&format!("t/{number}")), from(SessionKey(2)), || true);
        assert_eq!(route.direct.len(), usize::from(number == 7), "{number}");
    }
}

proptest! {
    #[test]
    fn a_match_visits_no_more_nodes_than_patterns_have_levels(
        filters in prop::collection::vec(long_filter(), 1..300),
        gone in any::<prop::sample::Index>(),
    ) {
        let (matcher, session) = (Matcher::default(), session(1));
        let mut filters: Vec<SubscriptionFilter> =
            filters.into_iter().map(|filter| SubscriptionFilter { group: None, filter }).collect();
        for filter in &filters {
            matcher.subscribe(filter, &session, PLAIN).unwrap();
        }
        for filter in filters.drain(..gone.index(filters.len())) {
            matcher.unsubscribe(&filter, session.key());
        }
        let levels = matcher.writing.lock().levels();
        for length in 1..30 {
            let topic = Topic::try_from(&*vec!["a"; length].join("/")).unwrap();
            let visited = matcher.trie.visited(&topic);
            // Short filters, long ones that are counted, and long ones without +.
            let most = (2 << FREE_LEVELS) + levels + length;
            prop_assert!(visited <= most, "{visited} nodes, {most} at most");
        }
        filters.iter().for_each(|filter| _ = matcher.unsubscribe(filter, session.key()));
        prop_assert!(matcher.writing.lock().levels() == 0);
    }
}
