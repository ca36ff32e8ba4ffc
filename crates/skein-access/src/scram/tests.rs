//! SCRAM against the exchange printed in RFC 7677 section 3, and against clients that do it wrong.

use proptest::prelude::*;

use super::*;
use crate::Anonymous;

const FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const SERVER_FIRST: &str =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                     p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

/// The access file of the RFC's user `user` with the password `pencil`.
fn rfc_list() -> AccessList {
    let keys = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==\
                $WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
    AccessList::parse(&format!("[[users]]\nname = 'user'\nscram = '{keys}'\nroles = ['r']\n")).unwrap()
}

#[test]
fn rfc_7677_section_3() {
    let (server_first, exchange) = start(&rfc_list(), FIRST.as_bytes(), SERVER_NONCE).unwrap();
    assert_eq!(String::from_utf8(server_first).unwrap(), SERVER_FIRST);
    let (server_final, proof) = exchange.finish(FINAL.as_bytes()).unwrap();
    assert_eq!(String::from_utf8(server_final).unwrap(), SERVER_FINAL);
    assert_eq!((proof.user.as_str(), &*proof.roles), ("user", &["r".to_owned()][..]));
}

#[test]
fn keys_of_the_rfc_are_those_of_its_password() {
    let list = rfc_list();
    let keys = list.decoy_keys().next().unwrap();
    assert!(keys.are_of(b"pencil"));
    assert!(!keys.are_of(b"Pencil") && !keys.are_of(b"") && !keys.are_of(b"\xff"));
    assert_eq!(ScramKeys::parse(&keys.to_text()).as_ref(), Some(keys));
}

#[test]
fn first_messages_that_are_refused() {
    for (message, code) in [
        ("", Code::Malformed),
        ("n", Code::Malformed),
        ("n,", Code::Malformed),
        ("n,,", Code::Malformed),
        ("x,,n=user,r=a", Code::Malformed),
        ("p=tls-exporter,,n=user,r=a", Code::BadAuthenticationMethod),
        ("n,,m=ext,n=user,r=a", Code::Malformed),
        ("n,,n=user", Code::Malformed),
        ("n,,n=user,r=", Code::Malformed),
        ("n,,n=user,r=a b", Code::Malformed),
        ("n,,n=,r=a", Code::Malformed),
        ("n,,n=us=er,r=a", Code::Malformed),
        ("n,,n=us\u{7}er,r=a", Code::Malformed),
        ("n,user,n=user,r=a", Code::Malformed),
        ("n,a=other,n=user,r=a", Code::BadCredentials),
        ("n,,n=us\0er,r=a", Code::Malformed),
    ] {
        let answer = start(&rfc_list(), message.as_bytes(), SERVER_NONCE);
        assert_eq!(answer.map(|_| ()), Err(code), "{message:?}");
    }
    let long = format!("n,,n=user,r={}", "a".repeat(MESSAGE_BYTES_MAX));
    assert!(start(&rfc_list(), long.as_bytes(), SERVER_NONCE).is_err());
    assert!(start(&rfc_list(), b"n,,n=\xff,r=a", SERVER_NONCE).is_err());
    for message in ["y,,n=user,r=a", "n,a=user,n=user,r=a", "n,,n=user,r=a,x=ext", "n,,n=us\u{ad}er,r=a"] {
        assert!(start(&rfc_list(), message.as_bytes(), SERVER_NONCE).is_ok(), "{message}");
    }
}

#[test]
fn final_messages_that_are_refused() {
    let nonce = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    let proof = "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    for (message, code) in [
        (String::new(), Code::Malformed),
        (format!("c=biws,{nonce}"), Code::Malformed),
        (format!("{nonce},c=biws,{proof}"), Code::Malformed),
        (format!("c=biws,{nonce},p=AAAA"), Code::Malformed),
        (format!("c=biws,{nonce},p=no!"), Code::Malformed),
        // "y,," instead of the "n,," the exchange began with.
        (format!("c=eSws,{nonce},{proof}"), Code::BadCredentials),
        (format!("c=biws,r=rOprNGfwEbeRWgbNEkqO,{proof}"), Code::BadCredentials),
        (format!("c=biws,{nonce},p=eHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="), Code::BadCredentials),
        (format!("c=biws,{nonce},x=1,{proof}"), Code::BadCredentials),
    ] {
        let (_, exchange) = start(&rfc_list(), FIRST.as_bytes(), SERVER_NONCE).unwrap();
        assert_eq!(exchange.finish(message.as_bytes()).map(|_| ()), Err(code), "{message}");
    }
}

#[test]
fn unknown_users_look_like_known_ones() {
    let access = Access::new(rfc_list(), Anonymous::Never);
    let salt_of = |access: &Access, name: &str, nonce: u8| {
        let first = format!("n,,n={name},r=abc");
        let (server_first, exchange) =
            access.scram_start(first.as_bytes(), [nonce; SCRAM_NONCE_BYTES]).unwrap();
        let server_first = String::from_utf8(server_first).unwrap();
        let (nonces, rest) = server_first.split_once(",s=").unwrap();
        let (salt, iterations) = rest.split_once(",i=").unwrap();
        assert_eq!(iterations, "4096");
        let last = format!("c=biws,{nonces},p={}", BASE64_STANDARD.encode([0; 32]));
        assert_eq!(exchange.finish(last.as_bytes()).map(|_| ()), Err(Code::BadCredentials));
        salt.to_owned()
    };
    let ghost = salt_of(&access, "ghost", 1);
    assert_eq!(ghost, salt_of(&access, "ghost", 2), "the salt of a name stays");
    assert_eq!(
        ghost,
        salt_of(&Access::new(rfc_list(), Anonymous::Never), "ghost", 3),
        "also after a restart"
    );
    assert_ne!(ghost, salt_of(&access, "ghost2", 1));
    assert_eq!(ghost.len(), salt_of(&access, "user", 1).len());
}

#[test]
fn unknown_users_have_the_iterations_of_all_that_known_ones_have() {
    let user = |name: &str, iterations| {
        let keys = new_scram_keys("right", iterations).unwrap().to_text();
        format!("[[users]]\nname = '{name}'\nscram = '{keys}'\n")
    };
    let list = |more: &str| {
        AccessList::parse(&[user("ann", 4096), user("bob", 5000), more.to_owned()].concat()).unwrap()
    };
    let told = |list: &AccessList, name: &str| {
        let first = start(list, format!("n,,n={name},r=nonce").as_bytes(), SERVER_NONCE).unwrap().0;
        String::from_utf8(first).unwrap()
    };
    let one = list("");
    let names: Vec<String> = (0..40).map(|number| format!("nobody{number}")).collect();
    for iterations in ["i=4096", "i=5000"] {
        assert!(names.iter().any(|name| told(&one, name).ends_with(iterations)), "{iterations}");
    }
    let ann = one.user("ann").and_then(|user| user.scram.clone()).unwrap().to_text();
    let bob = one.user("bob").and_then(|user| user.scram.clone()).unwrap().to_text();
    let text =
        format!("[[users]]\nname = 'ann'\nscram = '{ann}'\n[[users]]\nname = 'bob'\nscram = '{bob}'\n");
    let another = AccessList::parse(&(text + &user("eve", 5000))).unwrap();
    for name in &names {
        assert_eq!(
            told(&one, name),
            told(&another, name),
            "who does not exist does not change when others come"
        );
    }
}

#[test]
fn without_keys_the_method_is_not_offered() {
    let access = Access::new(AccessList::open(), Anonymous::Always);
    let answer = access.scram_start(FIRST.as_bytes(), [0; SCRAM_NONCE_BYTES]);
    assert_eq!(answer.map(|_| ()), Err(Code::BadAuthenticationMethod));
}

/// The client's side of RFC 5802 section 3, written down separately from the server's.
fn client_final(password: &str, client_first_bare: &str, server_first: &str) -> String {
    let (nonce, rest) = server_first.split_once(",s=").unwrap();
    let (salt, iterations) = rest.split_once(",i=").unwrap();
    let salt = BASE64_STANDARD.decode(salt).unwrap();
    let mut salted = [0; 32];
    pbkdf2::pbkdf2_hmac::<sha2::Sha256>(password.as_bytes(), &salt, iterations.parse().unwrap(), &mut salted);
    let client_key = hmac(&salted, b"Client Key");
    let auth_message = format!("{client_first_bare},{server_first},c=biws,{nonce}");
    let signature = hmac(&keys::hash(&client_key), auth_message.as_bytes());
    let proof: Vec<u8> = client_key.iter().zip(signature).map(|(key, sign)| key ^ sign).collect();
    format!("c=biws,{nonce},p={}", BASE64_STANDARD.encode(proof))
}

#[test]
fn new_keys_let_their_own_password_in() {
    let keys = new_scram_keys("I\u{ad}X", SCRAM_ITERATIONS_DEFAULT).unwrap();
    let list =
        AccessList::parse(&format!("[[users]]\nname = 'a,b=c'\nscram = '{}'\n", keys.to_text())).unwrap();
    // RFC 4013 maps the soft hyphen to nothing.
    for (password, expect) in [("IX", true), ("ix", false)] {
        let (server_first, exchange) = start(&list, b"n,,n=a=2Cb=3Dc,r=x", SERVER_NONCE).unwrap();
        let server_first = String::from_utf8(server_first).unwrap();
        let last = client_final(password, "n=a=2Cb=3Dc,r=x", &server_first);
        let proof = exchange.finish(last.as_bytes());
        assert_eq!(proof.is_ok(), expect, "{password}");
    }
}

#[test]
fn keys_that_are_refused() {
    for text in [
        "",
        "SCRAM-SHA-256",
        "SCRAM-SHA-256$4095:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
        "SCRAM-SHA-256$4096:$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$AAAA:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
        "SCRAM-SHA-1$4096:W22ZaJ0SNY7soEsUEjb6gQ==$AAAA:AAAA",
    ] {
        assert_eq!(ScramKeys::parse(text), None, "{text}");
    }
    assert!(new_scram_keys("", 4096).is_err());
    assert!(new_scram_keys("a\u{7}", 4096).is_err());
    assert!(new_scram_keys("a", 4095).is_err());
    assert!(new_scram_keys("a", ITERATIONS_MAX + 1).is_err());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_log_in(first in any::<Vec<u8>>(), last in any::<Vec<u8>>(), text in "[nyp],[a=,]*,n=[^,]{0,8},r=.{0,8}") {
        let list = rfc_list();
        let _ = start(&list, &first, SERVER_NONCE);
        let _ = start(&list, text.as_bytes(), SERVER_NONCE);
        let (_, exchange) = start(&list, FIRST.as_bytes(), SERVER_NONCE).unwrap();
        prop_assert!(exchange.finish(&last).is_err());
    }
}
