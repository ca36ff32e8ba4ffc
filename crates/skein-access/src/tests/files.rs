//! Access files with faults, and edits of access files.

use proptest::prelude::*;

use crate::{
    AccessList, Credentials, EditError, NewUser, add_user, list_users, new_user_block, remove_user,
    set_password,
};

fn faults_of(text: &str) -> String {
    AccessList::parse(text).map_or_else(|faults| faults.to_string(), |_| String::new())
}

const RULE: &str = "[[rules]]\nallow = true\nfilters = ['#']\n";

#[test]
fn a_fault_in_a_user_says_where_what_and_what_to_do() {
    for (text, expect) in [
        (String::new(), ""),
        ("usres = 1\n".to_owned(), "1:1: \"usres\" is not a key of an access file; did you mean \"users\"?"),
        ("other = 1\n".to_owned(), "1:1: \"other\" is not a key of an access file; known are users, rules"),
        ("users = 1\n".to_owned(), "1:9: users is not a list of tables; write [[users]] before each entry"),
        (
            "users = [1]\n".to_owned(),
            "1:10: users is not a list of tables; write [[users]] before each entry",
        ),
        ("[[users]]\n".to_owned(), "1:1: this user has no name; add name = \"…\""),
        ("[[users]]\nname = 1\n".to_owned(), "2:8: name is not a text in quotes"),
        (
            "[[users]]\nname = ''\n".to_owned(),
            "2:8: a user name needs at least one character and none of them U+0000",
        ),
        (
            "[[users]]\nname = 'a'\n\n[[users]]\nname = 'a'\n".to_owned(),
            "4:1: user \"a\" is there twice, first at line 1; remove one",
        ),
        (
            "[[users]]\nname = 'a'\npassword = 'secret'\n".to_owned(),
            "3:12: password is not an argon2id hash ($argon2id$v=19$m=…,t=…,p=…$salt$hash); \
             make one with `skein user passwd`; passwords never stand here in clear",
        ),
        (
            "[[users]]\nname = 'a'\nscram = 'x'\n".to_owned(),
            "3:9: scram is not of the form SCRAM-SHA-256$<4096 or more>:<salt>$<StoredKey>:<ServerKey> in base64; \
             make one with `skein user passwd`",
        ),
        (
            "[[users]]\nname = 'a'\nroles = 'r'\n".to_owned(),
            "3:9: roles is not a list of texts such as [\"one\", \"two\"]",
        ),
    ] {
        assert_eq!(faults_of(&text), expect, "{text}");
    }
}

#[test]
fn a_fault_in_a_rule_says_where_what_and_what_to_do() {
    let rule = RULE;
    for (text, expect) in [
        (rule.to_owned(), ""),
        (
            "[[rules]]\nallow = true\n".to_owned(),
            "1:1: this rule names no topics; add filters = [\"#\"] for all of them",
        ),
        (
            "[[rules]]\nfilters = ['#']\n".to_owned(),
            "1:1: this rule says neither yes nor no; add allow = true or allow = false",
        ),
        (format!("{rule}verdict = 'deny'\n"), "4:11: this rule has both allow and verdict; remove one"),
        (
            "[[rules]]\nverdict = 'maybe'\nfilters = ['#']\n".to_owned(),
            "2:11: verdict is \"maybe\"; write \"allow\" or \"deny\"",
        ),
        ("[[rules]]\nallow = 'yes'\nfilters = ['#']\n".to_owned(), "2:9: allow is not true or false"),
        (format!("{rule}user = ['a']\n"), "4:1: \"user\" is not a key of a rule; did you mean \"users\"?"),
        (
            format!("{rule}users = []\n"),
            "4:9: users has no entries, so the rule would never apply; name some, or remove the key to mean all",
        ),
        (
            format!("{rule}actions = ['read']\n"),
            "4:12: \"read\" is not an action; write \"publish\", \"subscribe\" or \"connect\"",
        ),
        (
            format!("{rule}actions = ['connect']\n"),
            "3:11: a rule that is only about connecting has no filters; remove them",
        ),
        (
            "[[rules]]\nallow = true\nactions = ['connect', 'publish']\n".to_owned(),
            "1:1: this rule names no topics; add filters = [\"#\"] for all of them",
        ),
        ("[[rules]]\nallow = true\nactions = ['connect']\nfilters = []\n".to_owned(), ""),
        (
            format!("{rule}addresses = ['10.0.0.0/40']\n"),
            "4:14: \"10.0.0.0/40\" is not an address or network such as 10.0.0.0/8 or fd00::/8",
        ),
        (
            format!("{rule}doors = ['ftp']\n"),
            "4:10: \"ftp\" is not a door; known are mqtt, http, comet, cometql, xmpp",
        ),
        (
            "[[rules]]\nallow = true\nfilters = ['a/#/b']\n".to_owned(),
            "3:12: \"a/#/b\" is not a topic filter: # must be the whole last level, as in a/#",
        ),
        (
            "[[rules]]\nallow = true\nfilters = ['$share/g/a']\n".to_owned(),
            "3:12: \"$share/g/a\" names a shared group; write the filter without its $share/<name>/; \
             it holds for shared subscriptions too",
        ),
    ] {
        assert_eq!(faults_of(&text), expect, "{text}");
    }
}

#[test]
fn all_faults_are_told_at_once_in_order() {
    let text =
        "[[users]]\nname = 'a'\npasword = 'x'\n[[rules]]\nallow = 1\nfilters = ['a+']\ndoors = ['x', 'y']\n";
    let faults = AccessList::parse(text).unwrap_err();
    let lines: Vec<usize> = faults.0.iter().map(|fault| fault.line).collect();
    assert_eq!(lines, [3, 5, 6, 7, 7]);
    assert!(faults.located("access.toml").starts_with("access.toml:3:1: \"pasword\""));
}

#[test]
fn broken_toml_is_one_kind_of_fault() {
    let faults = AccessList::parse("[[users]]\nname = \n").unwrap_err();
    assert_eq!(faults.0[0].line, 2);
    assert!(faults.0[0].text.starts_with("this is not TOML: "), "{faults}");
}

const FILE: &str =
    "# Head of the file.\n\n[[rules]] # a rule\nallow = true\nfilters = [\n  'a/#', # inner\n]\n";

fn ann(credentials: Credentials) -> NewUser<'static> {
    NewUser { name: "ann", password: "secret", roles: &[], credentials }
}

#[test]
fn a_user_is_added_listed_changed_and_removed() {
    let roles = ["admin".to_owned(), "ops".to_owned()];
    let bob = NewUser { name: "bob \"b\"", roles: &roles, ..ann(Credentials::Both) };
    let one = add_user(FILE, ann(Credentials::Hash)).unwrap();
    let two = add_user(&one, bob).unwrap();
    assert!(two.starts_with(FILE), "what stood there stays as it was");
    let users = list_users(&two).unwrap();
    let seen: Vec<_> = users.iter().map(|user| (&*user.name, user.has_hash, user.has_scram)).collect();
    assert_eq!(seen, [("ann", true, false), ("bob \"b\"", true, true)]);
    assert_eq!(users[1].roles, roles);
    assert!(!two.contains("secret"));

    let changed = set_password(&two, "ann", "other", Credentials::Scram).unwrap();
    assert!(changed.starts_with(FILE));
    let seen = list_users(&changed).unwrap();
    assert_eq!((seen[0].has_hash, seen[0].has_scram), (false, true));

    let removed = remove_user(&remove_user(&changed, "ann").unwrap(), "bob \"b\"").unwrap();
    assert!(removed.starts_with(FILE), "{removed}");
    assert_eq!(list_users(&removed).unwrap(), []);
    let alone = add_user("", ann(Credentials::Hash)).unwrap();
    assert_eq!(list_users(&alone).unwrap().len(), 1);
}

#[test]
fn users_between_other_things_are_edited_in_place() {
    let block = new_user_block(ann(Credentials::Hash)).unwrap();
    let text = format!("{block}\n{FILE}");
    let added = add_user(&text, NewUser { name: "eve", ..ann(Credentials::Hash) }).unwrap();
    assert!(added.starts_with(&text));
    let removed = remove_user(&added, "ann").unwrap();
    assert!(removed.contains("filters = [\n  'a/#', # inner\n]"), "{removed}");
    assert_eq!(list_users(&removed).unwrap()[0].name, "eve");
}

#[test]
fn edits_that_are_refused() {
    let one = add_user(FILE, ann(Credentials::Hash)).unwrap();
    assert_eq!(add_user(&one, ann(Credentials::Hash)), Err(EditError::Exists("ann".to_owned())));
    assert_eq!(remove_user(&one, "bob"), Err(EditError::Missing("bob".to_owned())));
    assert_eq!(remove_user(FILE, "bob"), Err(EditError::Missing("bob".to_owned())));
    assert_eq!(set_password(&one, "bob", "x", Credentials::Hash), Err(EditError::Missing("bob".to_owned())));
    assert_eq!(list_users("users = [{ name = 'a' }]"), Err(EditError::Inline));
    for (text, name, password) in [("nonsense", "a", "x"), (FILE, "", "x"), (FILE, "a", "")] {
        let user = NewUser { name, password, ..ann(Credentials::Hash) };
        assert!(add_user(text, user).is_err(), "{text} {name:?} {password:?}");
    }
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in any::<String>(), name in any::<String>()) {
        let _ = AccessList::parse(&text);
        let _ = list_users(&text);
        let _ = remove_user(&text, &name);
    }

    #[test]
    fn almost_right_text_never_panics(lines in prop::collection::vec(prop_oneof![
        Just("[[users]]".to_owned()), Just("[[rules]]".to_owned()), Just("[users]".to_owned()),
        "(name|password|scram|roles|allow|verdict|doors|addresses|filters|users) = ('.{0,6}'|true|1|\\['.{0,6}'\\]|\\[1\\]|\\{\\})",
    ], 0..12)) {
        let text = lines.join("\n");
        if let Err(faults) = AccessList::parse(&text) {
            prop_assert!(!faults.0.is_empty());
            let lines = text.lines().count().max(1) + 1;
            prop_assert!(faults.0.iter().all(|fault| fault.line <= lines), "{faults}");
        }
        let _ = remove_user(&text, "a");
    }
}
