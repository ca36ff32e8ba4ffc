//! Guarantee G1 under concurrency: once `subscribe` returned, every later route has the subscription, and once
//! `unsubscribe` returned, none has.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
};

use skein_types::SessionKey;

use super::{PLAIN, filter, from, session, topic};
use crate::matcher::{Matcher, Route, RouteCache, Subscriber};

/// How often each writer subscribes and unsubscribes.
const ROUNDS: u64 = 3000;
const WRITERS: u64 = 2;
const READERS: usize = 2;

/// What one writer has made sure of. It moves the number before and after each change: at 4n its subscription does
/// not stand, at 4n + 2 it does, and odd numbers are in between. A reader that sees the same number before and after
/// it asked for a route knows what the route must be.
#[derive(Debug, Default)]
struct Stands(AtomicU64);

impl Stands {
    fn during(&self, change: impl FnOnce()) {
        self.0.fetch_add(1, SeqCst);
        change();
        self.0.fetch_add(1, SeqCst);
    }

    /// Whether the subscription stands now, if that is certain.
    fn certain(number: u64) -> Option<bool> {
        match number % 4 {
            0 => Some(false),
            2 => Some(true),
            _ => None,
        }
    }
}

fn has(route: &Route, key: u64) -> bool {
    route.direct.iter().any(|found| found.session.key() == SessionKey(key))
}

#[test]
fn g1_a_route_has_every_subscription_that_was_acknowledged_before_it() {
    // Both tables, and a trie path that comes and goes with the writers.
    for (text, name) in [("x/y/z", "x/y/z"), ("x/+/z", "x/y/z"), ("x/y/#", "x/y")] {
        check(text, name);
    }
}

fn check(text: &str, name: &str) {
    let matcher = Matcher::default();
    let stands: Vec<Stands> = (0..WRITERS).map(|_| Stands::default()).collect();
    let done = AtomicBool::new(false);
    let judged = AtomicU64::new(0);
    thread::scope(|scope| {
        let (matcher, stands, done, judged) = (&matcher, &stands, &done, &judged);
        let writers: Vec<_> = (0..WRITERS)
            .map(|key| {
                scope.spawn(move || {
                    let (session, filter) = (session(key), filter(text));
                    let stands = &stands[key as usize];
                    for _ in 0..ROUNDS {
                        stands.during(|| assert!(matcher.subscribe(&filter, &session, PLAIN).unwrap()));
                        stands.during(|| assert!(matcher.unsubscribe(&filter, session.key())));
                    }
                })
            })
            .collect();
        for _ in 0..READERS {
            scope.spawn(move || {
                let mut cache = RouteCache::default();
                let topic = topic(name);
                let origin = SessionKey(99);
                let mut last = false;
                while !last {
                    // One more time after the writers: then every number is certain.
                    last = done.load(SeqCst);
                    let before: Vec<u64> = stands.iter().map(|stands| stands.0.load(SeqCst)).collect();
                    let plain = matcher.route(&topic, origin);
                    let cached: Arc<Route> = cache.route(matcher, &topic, from(origin), || true);
                    for (key, before) in (0..WRITERS).zip(before) {
                        let unchanged = stands[key as usize].0.load(SeqCst) == before;
                        if let Some(expect) = Stands::certain(before).filter(|_| unchanged) {
                            assert_eq!(has(&plain, key), expect, "{text}: a route of its own");
                            assert_eq!(has(&cached, key), expect, "{text}: a route through the cache");
                            judged.fetch_add(1, SeqCst);
                        }
                    }
                }
            });
        }
        let results: Vec<_> = writers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        done.store(true, SeqCst);
        assert!(results.iter().all(Result::is_ok), "a writer failed");
    });
    assert!(judged.load(SeqCst) > 0, "no route was ever judged");
    assert_eq!(matcher.sizes(), (0, 0), "{text}");
}

/// What threads show only by chance: a reader that comes in the middle of a change must not keep what it found.
#[test]
fn g1_a_route_found_during_a_change_is_not_used_after_it() {
    for text in ["t/x", "t/+"] {
        let (matcher, mut cache) = (Matcher::default(), RouteCache::default());
        let (filter, topic, origin) = (filter(text), topic("t/x"), SessionKey(9));
        matcher.change(&filter.filter, |subscribers| {
            assert!(cache.route(&matcher, &topic, from(origin), || true).is_empty());
            subscribers.with(&filter, Subscriber { session: session(1), options: PLAIN }).0
        });
        assert!(has(&cache.route(&matcher, &topic, from(origin), || true), 1), "{text}");
    }
}
