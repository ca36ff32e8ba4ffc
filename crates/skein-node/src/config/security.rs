//! The sections about who may come in and how: TLS, access control and the HTTP door.

use std::{net::SocketAddr, path::PathBuf};

use skein_access::Anonymous;

use super::{
    check::Check,
    listen::Listen,
    section::{Section, section, section_parts},
    setting::choice,
};

section! {
    /// TLS for every door that uses it.
    TlsConfig = "tls" {
        /// File with the certificate and its chain, in PEM form; without it TLS is off.
        cert: Option<PathBuf> = None, Reload;
        /// File with the private key of the certificate, in PEM form.
        key: Option<PathBuf> = None, Reload;
        /// File with the CA certificates that must have issued client certificates, in PEM form.
        client_ca: Option<PathBuf> = None, Restart;
        /// Whether clients present a certificate: never, if they have one, or always.
        client_auth: ClientAuth = ClientAuth::None, Restart;
        /// Whether the common name of a client's certificate is its user name, so that it needs no password.
        subject_as_user: bool = false, NewConnections;
    }
}

section! {
    /// The HTTP door: health, metrics, the REST interface.
    HttpConfig = "http" {
        /// Where HTTP is served.
        listen: Listen = Listen(vec![([127, 0, 0, 1], 8080).into()]), Restart;
        /// Where HTTP over TLS is served, with the certificate of the section tls.
        tls_listen: Listen = Listen(vec![]), Restart;
        /// Whether what http.listen names is served over TLS too, with the certificate of the section tls.
        tls: bool = false, Restart;
        /// Whether every connection begins with a PROXY header, as mqtt.proxy_protocol says.
        proxy_protocol: bool = false, NewConnections;
    }
}

section! {
    /// Who may come in and what they may do.
    AccessConfig = "access" {
        /// File with users and rules; without it there are no users, and every client that may connect may do everything.
        file: Option<PathBuf> = None, Reload;
        /// Who may connect without a password: clients on the same machine, everybody, or nobody.
        anonymous: Anonymous = Anonymous::Loopback, Restart;
    }
}

choice! {
    /// Whether clients show a certificate.
    ClientAuth {
        /// They are not asked for one.
        None = "none",
        /// One that they show must be right.
        Optional = "optional",
        /// Without one they are refused.
        Require = "require",
    }
}

impl Section for TlsConfig {
    section_parts!("tls");

    fn validate(&self, _path: &str, check: &mut Check<'_>) {
        match (&self.cert, &self.key) {
            (Some(_), None) => {
                check.fault("tls.cert", "is set but tls.key is not; set tls.key to its private key")
            }
            (None, Some(_)) => {
                check.fault("tls.key", "is set but tls.cert is not; set tls.cert to its certificate")
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
        let asks = self.client_auth != ClientAuth::None;
        if asks && self.client_ca.is_none() {
            let name = self.client_auth.name();
            let advice = "set tls.client_ca to the CA certificates of the clients";
            check.fault(
                "tls.client_auth",
                format!("is {name:?} but there are no CA certificates to check with; {advice}"),
            );
        }
        if self.client_ca.is_some() && !asks {
            let advice = "set tls.client_auth to \"optional\" or \"require\"";
            check.fault(
                "tls.client_ca",
                format!("is set but clients are not asked for a certificate; {advice}"),
            );
        }
        if self.subject_as_user && !asks {
            let advice = "set tls.client_auth to \"optional\" or \"require\"";
            check.fault("tls.subject_as_user", format!("is true but clients show no certificate; {advice}"));
        }
    }
}

impl HttpConfig {
    /// Every address, and whether it is served over TLS.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (SocketAddr, bool)> {
        let plain = self.listen.0.iter().map(|address| (*address, self.tls));
        plain.chain(self.tls_listen.0.iter().map(|address| (*address, true)))
    }
}

impl Section for HttpConfig {
    section_parts!("http");

    fn validate(&self, _path: &str, _check: &mut Check<'_>) {}
}

impl Section for AccessConfig {
    section_parts!("access");

    fn validate(&self, _path: &str, _check: &mut Check<'_>) {}
}
