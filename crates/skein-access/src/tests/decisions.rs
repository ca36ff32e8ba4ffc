//! What rules decide: by table, after a reload, and against an oracle that follows the documentation word by word.

use std::{net::IpAddr, sync::Arc};

use proptest::prelude::*;
use skein_types::{ClientId, Filter, Topic, UserName};

use crate::{Access, AccessList, Anonymous, Authenticated, Door, Identity, Subscribe, Verdict};

fn access(text: &str) -> Arc<Access> {
    Arc::new(Access::new(AccessList::parse(text).unwrap(), Anonymous::Always))
}

fn client(user: &str, client_id: &str) -> Identity {
    let identity = Identity::anonymous(ClientId::new(client_id), IpAddr::from([127, 0, 0, 1]), Door::Mqtt);
    if user.is_empty() { identity } else { identity.vouched(UserName::new(user)) }
}

fn topic(text: &str) -> Topic {
    Topic::try_from(text).unwrap()
}

fn filter(text: &str) -> Filter {
    Filter::new(text).unwrap()
}

#[test]
fn without_a_file_everything_but_publishing_on_system_topics() {
    let access = Arc::new(Access::new(AccessList::open(), Anonymous::Loopback));
    let bound = access.bind(client("", "c"));
    assert_eq!(bound.check_publish(&topic("a/b")), Verdict::Allow);
    assert_eq!(bound.check_publish(&topic("$SYS/x")), Verdict::Deny);
    assert_eq!(bound.check_publish(&topic("$user/c/x")), Verdict::Deny);
    assert_eq!(bound.check_subscribe(&filter("#")), Subscribe::Allow);
    assert_eq!(bound.check_subscribe(&filter("$SYS/#")), Subscribe::Allow);
    assert_eq!(bound.check_receive(&topic("$SYS/x")), Verdict::Allow);
}

#[test]
fn an_empty_file_denies_everything() {
    let bound = access("").bind(client("ann", "c"));
    assert_eq!(bound.check_publish(&topic("a")), Verdict::Deny);
    assert_eq!(bound.check_subscribe(&filter("a")), Subscribe::Deny);
    assert_eq!(bound.check_receive(&topic("a")), Verdict::Deny);
}

#[test]
fn subscriptions() {
    let bound = access(
        "[[rules]]\nallow = false\nfilters = ['a/secret', 'x/+/s']\n\
         [[rules]]\nallow = true\nfilters = ['a/#', 'x/1/#', '$SYS/#']\n\
         [[rules]]\nallow = true\nactions = ['publish']\nfilters = ['#', '$SYS/#']\n",
    )
    .bind(client("", "c"));
    for (asked, expect) in [
        ("a/b", Subscribe::Allow),
        ("a/b/#", Subscribe::Allow),
        ("a/#", Subscribe::AllowPart),
        ("a/+", Subscribe::AllowPart),
        ("a/secret", Subscribe::Deny),
        ("a/secret/#", Subscribe::AllowPart),
        ("x/1/+", Subscribe::AllowPart),
        ("x/1/t/#", Subscribe::Allow),
        ("x/+/t", Subscribe::Deny),
        ("+/b", Subscribe::Deny),
        ("#", Subscribe::Deny),
        ("$SYS/broker/+", Subscribe::Allow),
        ("b", Subscribe::Deny),
    ] {
        assert_eq!(bound.check_subscribe(&filter(asked)), expect, "{asked}");
    }
    assert_eq!(bound.check_receive(&topic("a/secret")), Verdict::Deny);
    assert_eq!(bound.check_receive(&topic("a/other")), Verdict::Allow);
    assert_eq!(bound.check_publish(&topic("b")), Verdict::Allow);
    assert_eq!(bound.check_publish(&topic("a/secret")), Verdict::Deny);
    assert_eq!(bound.check_publish(&topic("$SYS/x")), Verdict::Deny, "no rule opens system topics");
}

/// A client that no rule about connecting concerns may have its id; `%u` in one is its user's name, as it is.
#[test]
fn client_ids_are_tied_to_users() {
    let text = "[[rules]]\nallow = true\nfilters = ['#']\n\
                [[rules]]\nallow = true\nactions = ['connect']\nclient_ids = ['%u', '%u-*']\n\
                [[rules]]\nallow = true\nactions = ['connect']\nclient_ids = ['guest-*']\nusers = ['guest*']\n\
                [[rules]]\nallow = false\nactions = ['connect']\ndoors = ['mqtt']\n";
    let access = access(text);
    for (user, client_id, expect) in [
        ("ann", "ann", Verdict::Allow),
        ("ann", "ann-1", Verdict::Allow),
        ("ann", "anna", Verdict::Deny),
        ("ann", "bob", Verdict::Deny),
        ("ann", "%u", Verdict::Deny),
        ("ann", "", Verdict::Deny),
        ("", "ann", Verdict::Deny),
        ("", "", Verdict::Deny),
        ("", "%u", Verdict::Deny),
        ("*", "ann", Verdict::Deny),
        ("*", "*", Verdict::Allow),
        ("%u", "%u", Verdict::Allow),
        ("guest7", "guest-x", Verdict::Allow),
        ("ann", "guest-x", Verdict::Deny),
    ] {
        let bound = access.bind(client(user, client_id));
        assert_eq!(bound.check_connect(), expect, "{user:?} as {client_id:?}");
        assert_eq!(bound.check_publish(&topic("a")), Verdict::Allow, "other rules hold as before");
    }
    let elsewhere = Identity { door: Door::Http, ..client("ann", "bob") };
    assert_eq!(access.bind(elsewhere).check_connect(), Verdict::Allow, "the rule names another door");
}

/// Rules about topics never keep a client out; a user who is removed does not come in.
#[test]
fn without_a_rule_about_connecting_everybody_has_an_id() {
    let access = access("[[users]]\nname = 'ann'\n[[rules]]\nallow = false\nfilters = ['#']\n");
    let proof = Authenticated { user: UserName::new("ann"), roles: Arc::from([]) };
    let bound = access.bind(client("", "c").authenticated(proof));
    assert_eq!(bound.check_connect(), Verdict::Allow);
    assert_eq!(access.bind(client("", "c")).check_connect(), Verdict::Allow);
    access.reload("").unwrap();
    assert_eq!(bound.check_connect(), Verdict::Deny);
}

#[test]
fn rules_concern_whom_they_name() {
    let rules = "[[users]]\nname = 'ann'\nroles = ['ops']\n\
         [[rules]]\nallow = true\nusers = ['ann', 'dev-*']\nfilters = ['u/%u']\n\
         [[rules]]\nallow = true\nroles = ['ops']\nfilters = ['r']\n\
         [[rules]]\nallow = true\nclient_ids = ['s-*']\nfilters = ['c/%c']\n\
         [[rules]]\nallow = true\naddresses = ['10.0.0.0/8']\nfilters = ['n']\n\
         [[rules]]\nallow = true\ndoors = ['http']\nfilters = ['d']\n\
         [[rules]]\nallow = true\nusers = ['ann']\ndoors = ['http']\nfilters = ['both']\n\
         [[rules]]\nallow = true\nusers = ['*']\nfilters = ['named']\n";
    let access = access(rules);
    let ann = || client("ann", "c");
    let http = |identity| Identity { door: Door::Http, ..identity };
    let far = |identity| Identity { address: IpAddr::from([10, 1, 2, 3]), ..identity };
    for (identity, name, expect) in [
        (ann(), "u/ann", Verdict::Allow),
        (ann(), "u/bob", Verdict::Deny),
        (client("dev-1", "c"), "u/dev-1", Verdict::Allow),
        (client("bob", "c"), "u/bob", Verdict::Deny),
        (client("", "c"), "u/", Verdict::Deny),
        (ann(), "r", Verdict::Allow),
        (client("bob", "c"), "r", Verdict::Deny),
        (client("", "s-1"), "c/s-1", Verdict::Allow),
        (client("", "s-1"), "c/s-2", Verdict::Deny),
        (client("", "t-1"), "c/t-1", Verdict::Deny),
        (far(client("", "c")), "n", Verdict::Allow),
        (client("", "c"), "n", Verdict::Deny),
        (http(client("", "c")), "d", Verdict::Allow),
        (client("", "c"), "d", Verdict::Deny),
        (http(ann()), "both", Verdict::Allow),
        (http(client("bob", "c")), "both", Verdict::Deny),
        (ann(), "both", Verdict::Deny),
        (client("bob", "c"), "named", Verdict::Allow),
        (client("", "c"), "named", Verdict::Deny),
    ] {
        let asked = format!("{identity:?} {name}");
        assert_eq!(access.bind(identity).check_publish(&topic(name)), expect, "{asked}");
    }
}

#[test]
fn a_reload_reaches_bound_clients_and_a_fault_changes_nothing() {
    let allow_a = "[[rules]]\nallow = true\nfilters = ['a']\n";
    let access = access(allow_a);
    let bound = access.bind(client("", "c"));
    let first = bound.generation();
    assert_eq!(bound.check_publish(&topic("a")), Verdict::Allow);
    assert!(access.reload("[[rules]]\nallow = 1\nfilters = ['b']\n").is_err());
    assert_eq!(bound.generation(), first);
    assert_eq!(bound.check_publish(&topic("a")), Verdict::Allow);
    access.reload("[[rules]]\nallow = true\nfilters = ['b']\n").unwrap();
    assert_ne!(bound.generation(), first);
    assert_eq!(bound.check_publish(&topic("a")), Verdict::Deny);
    assert_eq!(bound.check_subscribe(&filter("b")), Subscribe::Allow);
}

#[test]
fn a_removed_user_loses_everything_and_changed_roles_count_at_once() {
    let rule = "[[rules]]\nallow = true\nroles = ['ops']\nfilters = ['a']\n";
    let ann = |roles: &str| format!("[[users]]\nname = 'ann'\nroles = [{roles}]\n{rule}");
    let access = access(&ann("'ops'"));
    let proof = Authenticated { user: UserName::new("ann"), roles: Arc::from(["ops".to_owned()]) };
    let bound = access.bind(client("", "c").authenticated(proof));
    assert_eq!((bound.check_publish(&topic("a")), bound.is_revoked()), (Verdict::Allow, false));
    access.reload(&ann("")).unwrap();
    assert_eq!((bound.check_publish(&topic("a")), bound.is_revoked()), (Verdict::Deny, false));
    access.reload(&ann("'ops'")).unwrap();
    assert_eq!(bound.check_publish(&topic("a")), Verdict::Allow);
    access.reload(&rule.replace("roles = ['ops']\n", "")).unwrap();
    assert_eq!((bound.check_publish(&topic("a")), bound.is_revoked()), (Verdict::Deny, true));
    assert_eq!(bound.check_subscribe(&filter("a")), Subscribe::Deny);
}

/// A rule as the oracle knows it.
#[derive(Clone, Debug)]
struct Said {
    allow: bool,
    users: Option<Vec<&'static str>>,
    client_ids: Option<Vec<&'static str>>,
    action: Option<&'static str>,
    filters: Vec<&'static str>,
}

const USERS: [&str; 4] = ["", "a", "b", "a/b"];
const CLIENTS: [&str; 4] = ["a", "b", "+", "$x"];
const FILTERS: [&str; 14] =
    ["#", "+", "a", "a/#", "a/+", "+/b", "a/b", "b/#", "%u", "a/%u/#", "%c/#", "b/%c", "$x/#", "%u/%c"];
const TOPICS: [&str; 12] =
    ["a", "b", "a/a", "a/b", "b/a", "b/b", "a/a/a", "a/b/a", "b/a/b", "$x", "$x/a", "a/$x"];

fn rule_text(rule: &Said) -> String {
    let list = |names: &[&str]| format!("{names:?}");
    let mut text = format!("[[rules]]\nallow = {}\nfilters = {}\n", rule.allow, list(&rule.filters));
    for (key, names) in [("users", &rule.users), ("client_ids", &rule.client_ids)] {
        if let Some(names) = names {
            text += &format!("{key} = {}\n", list(names));
        }
    }
    if let Some(action) = rule.action {
        text += &format!("actions = [{action:?}]\n");
    }
    text
}

/// MQTT 5.0 section 4.7 by recursion over levels.
fn fits(filter: &[&str], topic: &[&str]) -> bool {
    match (filter, topic) {
        ([], []) | (["#"], _) => true,
        ([part, filter @ ..], [name, topic @ ..]) => (part == &"+" || part == name) && fits(filter, topic),
        _ => false,
    }
}

fn oracle(rules: &[Said], user: &str, client_id: &str, action: &str, topic: &str) -> bool {
    let is_named = |names: &Option<Vec<&str>>, name: &str| {
        names.as_ref().is_none_or(|names| names.iter().any(|text| text.trim_end_matches('*') == name))
    };
    for rule in rules {
        let concerns = is_named(&rule.users, if user.is_empty() { "nobody" } else { user })
            && is_named(&rule.client_ids, client_id)
            && rule.action.is_none_or(|said| said == action);
        let matches = rule.filters.iter().any(|filter| {
            let usable = |name: &str, at_start: bool| {
                !(name.contains(['/', '+', '#']) || (at_start && name.starts_with('$')))
            };
            let mut levels = Vec::new();
            for (depth, level) in filter.split('/').enumerate() {
                let name = match level {
                    "%u" if user.is_empty() => return false,
                    "%u" => user,
                    "%c" => client_id,
                    _ => {
                        levels.push(level);
                        continue;
                    }
                };
                match (usable(name, depth == 0), rule.allow) {
                    (true, _) => levels.push(name),
                    (false, true) => return false,
                    (false, false) => levels.push("+"),
                }
            }
            let hidden = topic.starts_with('$') && ["+", "#"].contains(&levels[0]);
            !hidden && fits(&levels, &topic.split('/').collect::<Vec<_>>())
        });
        if concerns && matches {
            return rule.allow;
        }
    }
    false
}

fn said() -> impl Strategy<Value = Said> {
    let some = |names: &'static [&'static str]| {
        prop::option::of(prop::collection::vec(prop::sample::select(names), 1..3))
    };
    (
        any::<bool>(),
        some(&["a", "b*", "a/b"]),
        some(&["a", "b*", "+", "$x"]),
        prop::option::of(prop::sample::select(&["publish", "subscribe"][..])),
        prop::collection::vec(prop::sample::select(&FILTERS[..]), 1..4),
    )
        .prop_map(|(allow, users, client_ids, action, filters)| Said {
            allow,
            users,
            client_ids,
            action,
            filters,
        })
}

proptest! {
    #[test]
    fn decisions_are_those_of_the_oracle(
        rules in prop::collection::vec(said(), 0..6),
        user in prop::sample::select(&USERS[..]),
        client_id in prop::sample::select(&CLIENTS[..]),
    ) {
        let text: String = rules.iter().map(rule_text).collect();
        let bound = access(&text).bind(client(user, client_id));
        let of_bool = |allow| if allow { Verdict::Allow } else { Verdict::Deny };
        for name in TOPICS {
            let may_publish = !name.starts_with('$') && oracle(&rules, user, client_id, "publish", name);
            prop_assert_eq!(bound.check_publish(&topic(name)), of_bool(may_publish), "{} publish {}", &text, name);
            let may_receive = oracle(&rules, user, client_id, "subscribe", name);
            prop_assert_eq!(bound.check_receive(&topic(name)), of_bool(may_receive), "{} receive {}", &text, name);
            // A filter without wildcards is its topic.
            let expect = if may_receive { Subscribe::Allow } else { Subscribe::Deny };
            prop_assert_eq!(bound.check_subscribe(&filter(name)), expect, "{} subscribe {}", &text, name);
        }
        for asked in ["#", "+", "a/#", "a/+", "+/b", "b/#", "$x/#", "+/+/#"] {
            let asked = filter(asked);
            let may_receive = |name: &&str| oracle(&rules, user, client_id, "subscribe", name);
            let mut matching = TOPICS.iter().filter(|name| asked.matches(&topic(name)));
            if bound.check_subscribe(&asked) == Subscribe::Allow {
                prop_assert!(matching.all(may_receive), "{} allowed {} in full", &text, asked);
            }
        }
    }
}
