//! Certificates for tests: an authority, a server certificate for loopback, client certificates.
//!
//! Keys are made afresh for every test and never leave its directory.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

/// A certificate authority with a server certificate for `localhost` and 127.0.0.1, as PEM files.
#[derive(Debug)]
pub struct Certificates {
    directory: PathBuf,
    authority: CertifiedIssuer<'static, KeyPair>,
    /// The authority's certificate: what clients trust.
    pub ca_file: PathBuf,
    /// The server's certificate.
    pub server_cert: PathBuf,
    /// The server's private key.
    pub server_key: PathBuf,
}

impl Certificates {
    /// Makes an authority and a server certificate and writes them into `directory`.
    #[track_caller]
    pub fn create(directory: &Path) -> Self {
        let mut params = named("Skein test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority =
            CertifiedIssuer::self_signed(params, new_key()).expect("the authority's parameters are complete");
        let ca_file = directory.join("ca.pem");
        write(&ca_file, &authority.pem());
        let made = Self {
            directory: directory.to_path_buf(),
            authority,
            ca_file,
            server_cert: directory.join("server.pem"),
            server_key: directory.join("server.key"),
        };
        made.renew_server();
        made
    }

    /// Replaces the server's certificate and key in place, as a renewal does on a running server.
    #[track_caller]
    pub fn renew_server(&self) {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).expect("both names are valid");
        params.distinguished_name.push(DnType::CommonName, "localhost");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(&params, &self.server_cert, &self.server_key);
    }

    /// Makes a client certificate whose common name is `user`; returns its file and its key's file.
    #[track_caller]
    pub fn client(&self, user: &str) -> (PathBuf, PathBuf) {
        let mut params = named(user);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let cert = self.directory.join(format!("client-{user}.pem"));
        let key = self.directory.join(format!("client-{user}.key"));
        self.issue(&params, &cert, &key);
        (cert, key)
    }

    #[track_caller]
    fn issue(&self, params: &CertificateParams, cert_file: &Path, key_file: &Path) {
        let key = new_key();
        let cert = params.signed_by(&key, &self.authority).expect("the authority may sign");
        write(cert_file, &cert.pem());
        write(key_file, &key.serialize_pem());
    }
}

fn named(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("the system gives random numbers")
}

#[track_caller]
fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TestDirectory;

    #[test]
    fn writes_pem_files_and_renews_the_server() {
        let directory = TestDirectory::create("certificates");
        let made = Certificates::create(directory.path());
        let first = fs::read_to_string(&made.server_cert).unwrap();
        assert!(first.starts_with("-----BEGIN CERTIFICATE-----"));
        made.renew_server();
        assert_ne!(first, fs::read_to_string(&made.server_cert).unwrap());
        let (cert, key) = made.client("ada");
        assert!(fs::read_to_string(cert).unwrap().contains("BEGIN CERTIFICATE"));
        assert!(fs::read_to_string(key).unwrap().contains("PRIVATE KEY"));
    }
}
