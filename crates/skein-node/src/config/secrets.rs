//! Values that are never shown: not in listings, faults, logs or a configuration that is printed.

use std::fmt;

use super::setting::{Given, Setting, quoted};

/// What stands for a secret.
const HIDDEN: &str = "(hidden)";

const URL_ADVICE: &str =
    "write \"postgres://user:password@host/database\" or \"mysql://user:password@host/database\"";

/// The keys that these flags give a secret, with the keys that take it from a file. Everybody on a machine sees the
/// arguments of its processes.
#[must_use]
pub fn secrets_in_flags(flags: &[(String, String)]) -> Vec<(&'static str, &'static str)> {
    let has = |name: &str, is_secret: &dyn Fn(&str) -> bool| {
        flags.iter().any(|(flag, value)| flag == name && is_secret(value))
    };
    let hides = |value: &str| {
        let url = DatabaseUrl(Some(value.to_owned()));
        url.shown().is_some_and(|shown| shown != value)
    };
    let mut found = Vec::new();
    if has("cluster.secret", &|value| !value.is_empty()) {
        found.push(("cluster.secret", "cluster.secret_file"));
    }
    if has("cluster.registry", &hides) {
        found.push(("cluster.registry", "cluster.registry_file"));
    }
    found
}

/// The secret of the cluster.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(pub Option<String>);

/// The address of a database, with its password.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct DatabaseUrl(pub Option<String>);

impl DatabaseUrl {
    /// Reads an address; an empty text is none.
    ///
    /// # Errors
    /// What it is not, without the text.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let known = ["postgres://", "postgresql://", "mysql://"];
        if text.is_empty() {
            return Ok(Self(None));
        }
        if known.iter().any(|scheme| text.len() > scheme.len() && text.starts_with(scheme)) {
            return Ok(Self(Some(text.to_owned())));
        }
        Err(format!("is not the address of a database: {URL_ADVICE}"))
    }

    /// The address without its password, for people.
    #[must_use]
    pub fn shown(&self) -> Option<String> {
        url_without_password(self.0.as_deref()?)
    }
}

/// An address of the form `scheme://user:password@host/path?query` as logs and listings show it.
#[must_use]
pub(crate) fn url_without_password(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    // What follows a question mark may hold a password too.
    let place = |text: &str| text.split(['?', '#']).next().unwrap_or_default().to_owned();
    let shown = match rest.split('@').collect::<Vec<_>>().as_slice() {
        [host] => place(host),
        [user, host] if !user.contains(['/', '?', '#']) => match user.split_once(':') {
            Some((name, _password)) => format!("{name}:***@{}", place(host)),
            None => format!("{user}@{}", place(host)),
        },
        // Which part is the password cannot be told for sure.
        _ => "***".to_owned(),
    };
    Some(format!("{scheme}://{shown}"))
}

impl Setting for Secret {
    const KIND: &'static str = "secret text, or \"\" for none";
    const IS_SECRET: bool = true;

    fn read(given: Given<'_>) -> Result<Self, String> {
        match given.text() {
            Some("") => Ok(Self(None)),
            Some(HIDDEN) => {
                Err("is what stands for a secret that is not shown; write the secret itself".to_owned())
            }
            Some(text) => Ok(Self(Some(text.to_owned()))),
            None => Err("is not a text: put it in quotes".to_owned()),
        }
    }

    fn to_toml(&self) -> String {
        quoted(if self.0.is_some() { HIDDEN } else { "" })
    }
}

impl Setting for DatabaseUrl {
    const KIND: &'static str = "address of a database, or \"\" for none";
    const IS_SECRET: bool = true;

    fn read(given: Given<'_>) -> Result<Self, String> {
        match given.text() {
            Some(text) => Self::parse(text),
            None => Err(format!("is not the address of a database: {URL_ADVICE}")),
        }
    }

    fn to_toml(&self) -> String {
        quoted(&self.shown().unwrap_or_default())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Secret(..)" } else { "Secret(none)" })
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DatabaseUrl").field(&self.shown()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_shows_a_secret() {
        let secret = Secret::read(Given::Text("open sesame")).unwrap();
        assert_eq!((secret.to_toml(), format!("{secret:?}")), ("\"(hidden)\"".into(), "Secret(..)".into()));
        assert!(Secret::read(Given::Text("(hidden)")).is_err());
        for (url, shown) in [
            ("postgres://skein:pass@db/cluster?password=pass", "postgres://skein:***@db/cluster"),
            ("mysql://skein:p@ss/w@db:3306", "mysql://***"),
            ("mysql://db/x?password=pass@word", "mysql://***"),
            ("mysql://skein:pass?word@db", "mysql://***"),
            ("mysql://skein@db/a#pass", "mysql://skein@db/a"),
            ("postgresql://db", "postgresql://db"),
        ] {
            let url = DatabaseUrl::read(Given::Text(url)).unwrap();
            assert_eq!(url.to_toml(), quoted(shown));
            assert!(!format!("{url:?}").contains("pass"), "{url:?}");
        }
        assert!(DatabaseUrl::read(Given::Text("sqlite://x")).is_err());
    }

    #[test]
    fn every_secret_key_has_one_for_a_file_and_is_found_in_flags() {
        let keys = super::super::Config::keys();
        for key in keys.iter().filter(|key| key.is_secret) {
            let file = format!("{}_file", key.name);
            assert!(keys.iter().any(|key| key.name == file), "{file}");
            let value = "mysql://skein:pass@db/x".to_owned();
            let found = secrets_in_flags(&[(key.name.to_owned(), value)]);
            assert_eq!(found, [(key.name, &*file)]);
            assert_eq!(secrets_in_flags(&[(key.name.to_owned(), String::new())]), []);
        }
        assert_eq!(secrets_in_flags(&[("cluster.registry".to_owned(), "mysql://db/x".to_owned())]), []);
    }
}
