//! Who is let in.

use std::net::IpAddr;

use skein_types::Code;

use crate::{Access, AccessList, Admission, Anonymous, Credentials, NewUser, new_user_block};

fn user(name: &str, credentials: Credentials) -> String {
    let roles = ["r1".to_owned()];
    new_user_block(NewUser { name, password: "right", roles: &roles, credentials }).unwrap()
}

fn access(text: &str) -> Access {
    Access::new(AccessList::parse(text).unwrap(), Anonymous::Never)
}

#[test]
fn right_passwords_only() {
    let access = access(&format!(
        "{}{}{}[[users]]\nname = 'rolesonly'\n",
        user("hash", Credentials::Hash),
        user("scram", Credentials::Scram),
        user("both", Credentials::Both)
    ));
    for name in ["hash", "scram", "both"] {
        for _first_and_remembered in 0..2 {
            let proof = access.verify_password(name, b"right").unwrap();
            assert_eq!((proof.user.as_str(), &*proof.roles), (name, &["r1".to_owned()][..]));
        }
        for wrong in [&b"wrong"[..], b"", b"Right", b"\xff\xfe"] {
            assert_eq!(access.verify_password(name, wrong), Err(Code::BadCredentials), "{name} {wrong:?}");
        }
    }
    for name in ["rolesonly", "ghost", "", "HASH"] {
        assert_eq!(access.verify_password(name, b"right"), Err(Code::BadCredentials), "{name}");
    }
}

#[test]
fn a_changed_file_forgets_remembered_passwords() {
    let access = access(&user("ann", Credentials::Hash));
    assert!(access.verify_password("ann", b"right").is_ok());
    let other = new_user_block(NewUser {
        name: "ann",
        password: "other",
        roles: &[],
        credentials: Credentials::Hash,
    });
    access.reload(&other.unwrap()).unwrap();
    assert_eq!(access.verify_password("ann", b"right"), Err(Code::BadCredentials));
    assert!(access.verify_password("ann", b"other").is_ok());
    access.reload("").unwrap();
    assert_eq!(access.verify_password("ann", b"other"), Err(Code::BadCredentials));
}

#[test]
fn admission() {
    let file = || AccessList::parse("[[users]]\nname = 'a'\n").unwrap();
    let (near, mapped, far): (IpAddr, IpAddr, IpAddr) =
        ("127.0.0.1".parse().unwrap(), "::ffff:127.0.0.1".parse().unwrap(), "192.0.2.1".parse().unwrap());
    let name = Some("a");
    let password = Some(&b"p"[..]);
    let refuse = Admission::Refuse;
    for (list, anonymous, user, secret, address, expect) in [
        (file(), Anonymous::Never, name, password, far, Admission::CheckPassword),
        (file(), Anonymous::Always, name, None, far, Admission::CheckPassword),
        (file(), Anonymous::Always, None, password, far, Admission::CheckPassword),
        (file(), Anonymous::Never, None, None, near, refuse(Code::NotAuthorized)),
        (file(), Anonymous::Loopback, None, None, near, Admission::Anonymous),
        (file(), Anonymous::Loopback, None, None, far, refuse(Code::NotAuthorized)),
        (AccessList::open(), Anonymous::Loopback, name, password, near, Admission::Anonymous),
        (AccessList::open(), Anonymous::Loopback, None, None, mapped, Admission::Anonymous),
        (AccessList::open(), Anonymous::Loopback, name, password, far, refuse(Code::BadCredentials)),
        (AccessList::open(), Anonymous::Always, None, None, far, Admission::Anonymous),
        (AccessList::open(), Anonymous::Never, None, None, near, refuse(Code::NotAuthorized)),
    ] {
        let access = Access::new(list, anonymous);
        let asked = format!("{access:?} {user:?} {secret:?} {address}");
        assert_eq!(access.admit(user, secret, address), expect, "{asked}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let text = user("ann", Credentials::Both);
    let access = access(&text);
    let shown = format!("{access:?} {:?}", access.list());
    assert!(!shown.contains("argon2id") && !shown.contains("SCRAM-SHA-256"), "{shown}");
}
