//! When sources are looked at, and what is a seed, without IO.

use std::time::Duration;

use proptest::prelude::*;
use skein_types::Moment;

use super::{
    Discovery, LOOK_INTERVAL_MAX, LOOK_INTERVAL_MAX_ALONE, RegistryUrl, RegistryUrlError, Seed, SeedError,
    Source, Word,
};
use crate::DiscoverySettings;

const REGISTRY_INTERVAL: Duration = Duration::from_secs(15);

fn settings(join: &[&str], registry: Option<&str>) -> DiscoverySettings {
    DiscoverySettings {
        join: join.iter().map(|&entry| entry.to_owned()).collect(),
        registry: registry.map(str::to_owned),
        registry_interval: REGISTRY_INTERVAL,
    }
}

fn at(secs: u64) -> Moment {
    Moment::from_millis(secs * 1000)
}

/// Runs a discovery with one source for a while; returns the seconds at which it was looked at.
fn looks(
    mut discovery: Discovery,
    until: u64,
    worked: impl Fn(u64) -> bool,
    peers: impl Fn(u64) -> usize,
) -> Vec<u64> {
    let mut looks = Vec::new();
    for second in 0..until {
        for (index, _) in discovery.tick(at(second), peers(second)) {
            looks.push(second);
            discovery.done(index, worked(second), at(second));
        }
    }
    looks
}

#[test]
fn places_are_looked_up_at_growing_intervals() {
    let one = || Discovery::new(&settings(&["a:1"], None)).unwrap();
    let alone = looks(one(), 30, |_| true, |_| 0);
    assert_eq!(alone, [0, 1, 3, 7, 12, 17, 22, 27]);
    assert_eq!(alone, looks(one(), 30, |_| false, |_| 0), "a name that fails has the same pace");
    let with_peers = looks(one(), 200, |_| true, |_| 2);
    assert_eq!(with_peers, [0, 1, 3, 7, 15, 31, 63, 123, 183]);
}

#[test]
fn everything_is_looked_up_at_once_when_peers_are_gone() {
    let one = Discovery::new(&settings(&["a:1"], None)).unwrap();
    let looks = looks(one, 100, |_| true, |second| if second < 80 { 2 } else { 1 });
    assert_eq!(looks, [0, 1, 3, 7, 15, 31, 63, 80, 81, 83, 87, 95]);
}

#[test]
fn the_registry_has_a_steady_pace_and_a_back_off_within_it() {
    let one = || Discovery::new(&settings(&[], Some("postgres://h/d"))).unwrap();
    assert_eq!(looks(one(), 50, |_| true, |_| 1), [0, 15, 30, 45]);
    let failing = looks(one(), 80, |second| !(15..60).contains(&second), |_| 1);
    assert_eq!(failing, [0, 15, 16, 18, 22, 30, 45, 60, 75]);
    // Lost peers do not hurry a database that fails.
    let lost = looks(one(), 40, |second| second < 15, |second| if second < 17 { 1 } else { 0 });
    assert_eq!(lost, [0, 15, 16, 18, 22, 30]);
    assert_eq!(looks(one(), 20, |_| true, |second| if second < 4 { 1 } else { 0 }), [0, 4, 19]);
}

#[test]
fn what_is_under_way_is_not_begun_again() {
    let mut discovery = Discovery::new(&settings(&["a:1", "b:2"], None)).unwrap();
    let begun: Vec<_> = discovery.tick(at(0), 1).into_iter().map(|(index, _)| index).collect();
    assert_eq!(begun, [0, 1]);
    assert_eq!(discovery.next_due(), Moment::NEVER);
    assert_eq!(discovery.tick(at(100), 1), []);
    discovery.done(1, true, at(100));
    assert_eq!(discovery.next_due(), at(101));
    // Peers are gone while the other is under way: what it finds is from before.
    let again = discovery.tick(at(100), 0);
    assert_eq!(again, [(1, Source::Seed("b:2".parse().unwrap()))]);
    discovery.done(0, true, at(100));
    assert_eq!(discovery.tick(at(100), 0), [(0, Source::Seed("a:1".parse().unwrap()))]);
}

#[test]
fn failures_are_said_ever_more_rarely_and_their_end_once() {
    let mut discovery = Discovery::new(&settings(&["a:1"], None)).unwrap();
    let mut said = Vec::new();
    for number in 0..9 {
        discovery.tick(at(number * 100), 0);
        said.push(discovery.done(0, false, at(number * 100)) == Word::Fails);
    }
    assert_eq!(said, [true, true, false, true, false, false, false, true, false]);
    discovery.tick(at(1000), 0);
    assert_eq!(discovery.done(0, true, at(1000)), Word::WorksAgain);
    discovery.tick(at(2000), 0);
    assert_eq!(discovery.done(0, true, at(2000)), Word::Nothing);
    assert_eq!(discovery.done(7, true, at(2000)), Word::Nothing, "there is no such source");
}

#[test]
fn a_database_is_not_asked_without_pause() {
    let no_pause =
        DiscoverySettings { registry_interval: Duration::ZERO, ..settings(&[], Some("mysql://h/d")) };
    assert_eq!(looks(Discovery::new(&no_pause).unwrap(), 4, |_| true, |_| 1), [0, 1, 2, 3]);
    let mut failing = Discovery::new(&no_pause).unwrap();
    failing.tick(at(0), 0);
    failing.done(0, false, at(0));
    assert_eq!(failing.next_due(), at(1));
}

#[test]
fn nothing_is_due_without_sources() {
    let mut discovery = Discovery::new(&DiscoverySettings::default()).unwrap();
    assert_eq!(discovery.next_due(), Moment::NEVER);
    assert_eq!(discovery.tick(Moment::NEVER, 0), []);
}

#[test]
fn reads_seeds() {
    let seed = |text: &str| text.parse::<Seed>();
    assert_eq!(seed(" 127.0.0.2:5777 "), Ok(Seed::Address("127.0.0.2:5777".parse().unwrap())));
    assert_eq!(seed("[::1]:5777"), Ok(Seed::Address("[::1]:5777".parse().unwrap())));
    assert_eq!(seed("node-1.example.org:5777"), Ok(Seed::Host("node-1.example.org".into(), 5777)));
    assert_eq!(seed("srv:_skein._tcp.example.org"), Ok(Seed::Service("_skein._tcp.example.org".into())));
    assert_eq!(seed("node"), Err(SeedError::NoPort("node".into())));
    assert_eq!(seed("node:0"), Err(SeedError::BadPort("node:0".into())));
    assert_eq!(seed("10.0.0.1:0"), Err(SeedError::BadPort("10.0.0.1:0".into())));
    assert_eq!(seed("node:70000"), Err(SeedError::BadPort("node:70000".into())));
    for bad in [":1", "a..b:1", "a b:1", "srv:", "srv:a/b", "::1:5777x", "ä:1"] {
        assert_eq!(seed(bad), Err(SeedError::BadName(bad.into())), "{bad}");
    }
    assert!(seed(&format!("{}:1", "a".repeat(64))).is_err());
}

#[test]
fn settings_with_a_fault_are_refused() {
    assert!(Discovery::new(&settings(&["a:1", "b"], None)).is_err());
    assert!(Discovery::new(&settings(&[], Some("sqlite://x"))).is_err());
}

#[test]
fn a_registry_is_shown_without_its_password() {
    let url = |text: &str| RegistryUrl::new(text);
    let shown = |text: &str| format!("{0} {0:?}", url(text).unwrap());
    assert_eq!(
        shown("postgres://skein:secret@db.example.org:5432/skein?sslmode=require&password=secret"),
        "postgres://db.example.org:5432/skein RegistryUrl(postgres://db.example.org:5432/skein)"
    );
    assert_eq!(shown("mysql://u:sec@ret@db/skein"), "mysql://db/skein RegistryUrl(mysql://db/skein)");
    assert_eq!(url("oracle://db").err(), Some(RegistryUrlError::Scheme));
    assert_eq!(url("").err(), Some(RegistryUrlError::Scheme));
}

proptest! {
    #[test]
    fn a_place_is_read_as_it_is_shown(text in "(srv:)?[a-z0-9._:\\[\\]-]{0,40}(:[0-9]{1,5})?") {
        if let Ok(seed) = text.parse::<Seed>() {
            prop_assert_eq!(seed.to_string().parse::<Seed>(), Ok(seed));
        }
    }

    /// Whatever happens, a source is looked at again within the longest interval, and never twice at a time.
    #[test]
    fn no_source_is_forgotten(steps in proptest::collection::vec((0_u64..20, 0_usize..3, any::<bool>()), 1..200)) {
        let mut discovery = Discovery::new(&settings(&["a:1"], Some("mysql://h/d"))).unwrap();
        let mut now = Moment::ZERO;
        let mut under_way = [false; 2];
        for (secs, peers, worked) in steps {
            now = now.after(Duration::from_secs(secs));
            for (index, _) in discovery.tick(now, peers) {
                prop_assert!(!std::mem::replace(&mut under_way[index], true));
            }
            prop_assert!(discovery.next_due() > now);
            for (index, under_way) in under_way.iter_mut().enumerate() {
                if *under_way && (secs + index as u64).is_multiple_of(2) {
                    discovery.done(index, worked, now);
                    *under_way = false;
                }
            }
            let longest = if peers == 0 { LOOK_INTERVAL_MAX_ALONE } else { LOOK_INTERVAL_MAX };
            if !under_way[0] || !under_way[1] {
                prop_assert!(discovery.next_due() <= now.after(longest.max(LOOK_INTERVAL_MAX)));
            }
        }
    }
}
