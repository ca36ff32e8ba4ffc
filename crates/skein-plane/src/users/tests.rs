//! Users and rules in the store: what holds beside a file and without one, what is refused, what comes back.

use std::{net::IpAddr, sync::Arc};

use skein_access::{Access, Admission, Anonymous, Door, Identity, UserSource, Verdict};
use skein_store::{Options, Store, Time};
use skein_types::{ClientId, Code, Moment, Topic, UserName};
use skein_wal::disk::FaultyDisk;

use super::*;
use crate::{PlaneLimits, WallClock};

const NOW: Moment = Moment::from_millis(1000);

fn store() -> Store {
    Store::open(crate::schema(), Options::memory()).unwrap()
}

/// A plane over `store`, whose access file has this text, if there is one.
fn plane(store: &Store, file: Option<&str>) -> Plane {
    let list = file.map_or_else(AccessList::open, |text| AccessList::parse(text).unwrap());
    let access = Arc::new(Access::new(list, Anonymous::Loopback));
    let plane = Plane::new(access, PlaneLimits { retained_messages_max: 10, ..PlaneLimits::default() });
    let plane = plane.with_durable(Durable::new(store.clone(), WallClock::new(Time(0))));
    plane.load_stored_access().unwrap();
    plane
}

fn user<'u>(name: &'u str, password: &'u str, roles: &'u [String]) -> NewUser<'u> {
    NewUser { name, password, roles, credentials: Credentials::Hash }
}

fn rule(allow: bool, users: &[&str], filters: &[&str]) -> RuleBlock {
    let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
    let users = (!users.is_empty()).then(|| texts(users));
    RuleBlock { allow, users, filters: texts(filters), ..RuleBlock::default() }
}

fn login(plane: &Plane, name: &str, password: &str) -> Result<Vec<String>, Code> {
    plane.access().verify_password(name, password.as_bytes()).map(|proof| proof.roles.to_vec())
}

fn may_publish(plane: &Plane, user: &str, topic: &str) -> bool {
    let address: IpAddr = [127, 0, 0, 1].into();
    let identity = Identity {
        user: Some(UserName::new(user)),
        // As if a certificate had named it, so that it need not be a user of the list.
        source: UserSource::Outside,
        ..Identity::anonymous(ClientId::new("c"), address, Door::Mqtt)
    };
    plane.access().rules_for(&identity).check_publish(&Topic::new(topic.into()).unwrap()) == Verdict::Allow
}

#[test]
fn a_user_is_added_changed_and_removed_and_each_step_holds_for_the_next_run() {
    let store = store();
    let first = plane(&store, None);
    let ops = ["ops".to_owned()];
    let added = first.add_user(user("ann", "one", &ops), NOW).unwrap();
    assert_eq!((&*added.summary.name, added.summary.has_hash, added.summary.has_scram), ("ann", true, false));
    assert_eq!(added.created_at, SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1));
    for plane in [&first, &plane(&store, None)] {
        assert_eq!(login(plane, "ann", "one"), Ok(ops.to_vec()));
        assert_eq!(login(plane, "ann", "two"), Err(Code::BadCredentials));
    }
    let password = Some(NewPassword { password: "two", credentials: Credentials::Both });
    let changed =
        first.change_user("ann", UserChange { password, roles: None }, Moment::from_millis(3000)).unwrap();
    assert_eq!((changed.created_at, changed.summary.has_scram), (added.created_at, true));
    assert!(changed.changed_at > changed.created_at);
    first.change_user("ann", UserChange { password: None, roles: Some(&[]) }, NOW).unwrap();
    for plane in [&first, &plane(&store, None)] {
        assert_eq!(login(plane, "ann", "one"), Err(Code::BadCredentials));
        assert_eq!(login(plane, "ann", "two"), Ok(vec![]));
        assert_eq!(plane.stored_users().unwrap().len(), 1);
    }
    first.remove_user("ann").unwrap();
    for plane in [&first, &plane(&store, None)] {
        assert_eq!(login(plane, "ann", "two"), Err(Code::BadCredentials));
        assert_eq!(plane.stored_users().unwrap(), []);
    }
}

#[test]
fn without_a_file_users_make_passwords_count_and_rules_make_the_rest_denied() {
    let store = store();
    let plane = plane(&store, None);
    let loopback: IpAddr = [127, 0, 0, 1].into();
    let admitted = |plane: &Plane| plane.access().admit(Some("ann"), Some(b"x"), loopback);
    assert_eq!(admitted(&plane), Admission::Anonymous);
    plane.add_user(user("ann", "one", &[]), NOW).unwrap();
    assert_eq!(admitted(&plane), Admission::CheckPassword);
    assert!(may_publish(&plane, "ann", "a"), "without rules everything is allowed to whom is let in");
    plane.add_rule(None, &rule(true, &["ann"], &["mine/#"])).unwrap();
    assert!(may_publish(&plane, "ann", "mine/1") && !may_publish(&plane, "ann", "a"));
}

#[test]
fn nothing_is_allowed_because_the_last_rule_or_user_is_gone() {
    let store = store();
    let first = plane(&store, None);
    first.add_user(user("ann", "one", &[]), NOW).unwrap();
    first.add_rule(None, &rule(true, &["ann"], &["mine/#"])).unwrap();
    first.remove_rule(POSITION_STEP).unwrap();
    first.remove_user("ann").unwrap();
    let loopback: IpAddr = [127, 0, 0, 1].into();
    for plane in [&first, &plane(&store, None)] {
        assert!(!may_publish(plane, "ann", "mine/1") && !may_publish(plane, "ann", "a"));
        assert_eq!(plane.access().admit(Some("ann"), Some(b"x"), loopback), Admission::CheckPassword);
        assert!(plane.access().list().has_had_users() && plane.access().list().users_count() == 0);
    }
    // Whoever wants it open says so.
    first.add_rule(None, &rule(true, &[], &["#"])).unwrap();
    assert!(may_publish(&first, "ann", "a"));
}

#[test]
fn rules_of_a_store_that_knew_no_marks_are_not_forgotten_either() {
    let store = store();
    let done = store.transact(Isolation::Serializable, |transaction| {
        transaction.upsert(&RuleRow::new(1, rule(true, &[], &["mine/#"])))?;
        Ok::<_, AccessChangeError>(())
    });
    done.map_err(AccessChangeError::of).unwrap();
    let plane = plane(&store, None);
    plane.remove_rule(1).unwrap();
    assert!(!may_publish(&plane, "ann", "a"));
}

#[test]
fn the_file_goes_before_the_store() {
    let store = store();
    let hash = new_password_hash("file").unwrap();
    let file = format!(
        "[[users]]\nname = \"ann\"\npassword = \"{hash}\"\n[[rules]]\nallow = false\nfilters = [\"secret/#\"]\n"
    );
    let open = plane(&store, None);
    open.add_user(user("ann", "store", &[]), NOW).unwrap();
    open.add_user(user("bob", "store", &[]), NOW).unwrap();
    open.add_rule(Some(5), &rule(true, &[], &["#"])).unwrap();

    let with_file = plane(&store, Some(&file));
    assert_eq!(login(&with_file, "ann", "file"), Ok(vec![]));
    assert_eq!(login(&with_file, "ann", "store"), Err(Code::BadCredentials));
    assert_eq!(login(&with_file, "bob", "store"), Ok(vec![]));
    assert!(may_publish(&with_file, "bob", "a") && !may_publish(&with_file, "bob", "secret/a"));
    let refused = [
        with_file.add_user(user("ann", "x", &[]), NOW).map(drop),
        with_file.change_user("ann", UserChange { roles: Some(&[]), ..UserChange::default() }, NOW).map(drop),
    ];
    assert!(
        refused.iter().all(|refused| matches!(refused, Err(AccessChangeError::InFile(_)))),
        "{refused:?}"
    );
    // The one that is hidden by the file can be removed; then there is none left but the file's.
    with_file.remove_user("ann").unwrap();
    assert!(matches!(with_file.remove_user("ann"), Err(AccessChangeError::InFile(_))));
    // A reload of the file leaves what is stored.
    with_file.access().reload("").unwrap();
    assert_eq!(login(&with_file, "bob", "store"), Ok(vec![]));
    assert_eq!(login(&with_file, "ann", "file"), Err(Code::BadCredentials));
}

#[test]
fn rules_are_asked_by_position_and_can_be_replaced() {
    let store = store();
    let plane = plane(&store, None);
    let last = plane.add_rule(None, &rule(true, &[], &["#"])).unwrap();
    plane.add_rule(Some(last.position - 1), &rule(false, &["ann"], &["a/#"])).unwrap();
    assert!(!may_publish(&plane, "ann", "a/1") && may_publish(&plane, "bob", "a/1"));
    plane.change_rule(last.position - 1, &rule(false, &["bob"], &["a/#"])).unwrap();
    assert!(may_publish(&plane, "ann", "a/1") && !may_publish(&plane, "bob", "a/1"));
    let positions: Vec<u32> = plane.stored_rules().unwrap().iter().map(|rule| rule.position).collect();
    assert_eq!(positions, [last.position - 1, last.position]);
    assert_eq!(
        plane.add_rule(None, &rule(true, &[], &["b"])).unwrap().position,
        last.position + POSITION_STEP
    );
    let taken = plane.add_rule(Some(last.position), &rule(true, &[], &["#"]));
    assert!(matches!(taken, Err(AccessChangeError::RuleExists(_))), "{taken:?}");
    for missing in [plane.change_rule(7, &rule(true, &[], &["#"])).map(drop), plane.remove_rule(7)] {
        assert!(matches!(missing, Err(AccessChangeError::RuleMissing(7))), "{missing:?}");
    }
}

#[test]
fn what_no_file_could_have_is_refused_and_changes_nothing() {
    let store = store();
    let plane = plane(&store, None);
    plane.add_user(user("ann", "one", &[]), NOW).unwrap();
    let generation = plane.access().generation();
    let index = store.applied_index();
    let errors = [
        plane.add_user(user("ann", "two", &[]), NOW).map(drop),
        plane.add_user(user("", "two", &[]), NOW).map(drop),
        plane.add_user(user("bob", "", &[]), NOW).map(drop),
        plane.add_rule(None, &rule(true, &[], &["a#"])).map(drop),
        plane.add_rule(None, &rule(true, &[], &[])).map(drop),
        plane
            .add_rule(None, &RuleBlock { doors: Some(vec!["telnet".into()]), ..rule(true, &[], &["#"]) })
            .map(drop),
        plane.remove_user("bob"),
    ];
    let texts = errors.map(|error| error.unwrap_err().to_string());
    for (text, part) in texts.iter().zip([
        "user \"ann\" exists",
        "a user name needs at least one character",
        "the password is empty",
        "\"a#\" is not a topic filter",
        "this rule names no topics",
        "\"telnet\" is not a door",
        "there is no user \"bob\"",
    ]) {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!((plane.access().generation(), store.applied_index()), (generation, index));
    assert_eq!(plane.stored_rules().unwrap(), []);
}

#[test]
fn without_a_store_it_is_said_what_to_set() {
    let plane = Plane::new(
        Arc::new(Access::new(AccessList::open(), Anonymous::Loopback)),
        PlaneLimits { retained_messages_max: 10, ..PlaneLimits::default() },
    );
    plane.load_stored_access().unwrap();
    for error in [
        plane.add_user(user("ann", "one", &[]), NOW).map(drop),
        plane.remove_user("ann"),
        plane.stored_users().map(drop),
        plane.add_rule(None, &rule(true, &[], &["#"])).map(drop),
    ] {
        let error = error.unwrap_err();
        assert!(error.to_string().contains("mqtt.durability = \"disk\""), "{error}");
    }
}

#[test]
fn changes_made_at_once_all_hold() {
    let store = store();
    let plane = plane(&store, None);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let plane = &plane;
            scope.spawn(move || {
                for number in 0..5 {
                    let name = format!("u{thread}-{number}");
                    let credentials = Credentials::Scram;
                    plane.add_user(NewUser { credentials, ..user(&name, "x", &[]) }, NOW).unwrap();
                    plane.add_rule(None, &rule(true, &[&name], &["#"])).unwrap();
                }
                plane.remove_user(&format!("u{thread}-0")).unwrap();
            });
        }
    });
    assert_eq!((plane.stored_users().unwrap().len(), plane.stored_rules().unwrap().len()), (16, 20));
    let list = plane.access().list();
    assert_eq!((list.users_count(), list.rules_count()), (16, 20));
    assert!(list.has_user("u3-4") && !list.has_user("u3-0"));
}

#[test]
fn with_a_full_disk_one_change_waits_and_others_are_refused() {
    let disk = FaultyDisk::new();
    let mut options = Options::durable("/store");
    options.disk = Arc::new(disk.clone());
    options.segment_bytes = 4096;
    let store = Store::open(crate::schema(), options).unwrap();
    let plane = plane(&store, None);
    disk.set_room(0);
    let roles: Vec<String> =
        (0..100).map(|number| format!("a role with a long name, number {number}")).collect();
    std::thread::scope(|scope| {
        let filling = scope.spawn(|| {
            // Each takes about a segment, so that the second or third finds no room and waits for it.
            for number in 0..5 {
                let name = format!("user {number}");
                let credentials = Credentials::Scram;
                plane.add_user(NewUser { credentials, ..user(&name, "x", &roles) }, NOW).unwrap();
            }
        });
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while store.writable() {
            assert!(std::time::Instant::now() < deadline, "the disk never got full");
            std::thread::yield_now();
        }
        let refused = plane.add_user(user("late", "x", &[]), NOW).unwrap_err();
        assert!(matches!(refused, AccessChangeError::Store(CommitError::ReadOnly { .. })), "{refused:?}");
        assert!(refused.to_string().contains("no room"), "{refused}");
        disk.set_room(u64::MAX);
        filling.join().unwrap();
        assert_eq!(plane.stored_users().unwrap().len(), 5);
    });
    plane.add_user(user("late", "x", &[]), NOW).unwrap();
}
