//! HTTP over TLS, and its certificate exchanged while the door runs.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use skein_access::{Access, AccessList, Anonymous};
use skein_door::{TlsFiles, TlsSource, Transport};
use skein_http::HttpSettings;
use skein_testkit::{Certificates, DEADLINE, TestDirectory};

use crate::fixture::{Fixture, listener_settings};

/// The status line of an answer, and the certificate it came under.
fn get(address: SocketAddr, ca_file: &Path) -> (String, Vec<u8>) {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca_file).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let session =
        ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut stream = StreamOwned::new(session, socket);
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let certificate = stream.conn.peer_certificates().unwrap()[0].to_vec();
    (text.lines().next().unwrap_or_default().to_owned(), certificate)
}

#[test]
fn http_over_tls_and_a_new_certificate() {
    let directory = TestDirectory::create("https");
    let made = Certificates::create(directory.path());
    let files = TlsFiles {
        certificate_file: made.server_cert.clone(),
        key_file: made.server_key.clone(),
        client_certificates: None,
    };
    let source = TlsSource::load(files).unwrap();
    let access = Access::new(AccessList::open(), Anonymous::Loopback);
    let transport = Transport::Tls(source.clone());
    let node = Fixture::start_on(access, HttpSettings::default(), listener_settings(), transport, &[]);
    let (status, before) = get(node.address, &made.ca_file);
    assert_eq!(status, "HTTP/1.1 200 OK");
    made.renew_server();
    assert_eq!(get(node.address, &made.ca_file).1, before, "files are read when the node is told to");
    source.reload().unwrap();
    let (status, after) = get(node.address, &made.ca_file);
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert_ne!(after, before);
    // Without TLS there is nothing to be had.
    let mut plain = TcpStream::connect(node.address).unwrap();
    plain.set_read_timeout(Some(DEADLINE)).unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _reset = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"));
}
