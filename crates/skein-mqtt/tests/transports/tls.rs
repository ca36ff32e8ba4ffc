//! TLS: certificates of the server and of clients, reload, and what fails during the handshake.

use std::{
    io::Read,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use skein_access::{AccessList, Anonymous};
use skein_door::{ClientCertificates, Demand, TlsFiles, TlsSource, Transport};
use skein_mqtt::codec::{Packet, ReasonCode};
use skein_testkit::{Certificates, DEADLINE, RawClient, TestDirectory, wait_until};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    client::{Client, connect, within_deadline},
    server::{Server, settings, with_timeout},
};

/// Certificates in a directory that lives as long as they do.
pub(crate) struct Pki {
    pub(crate) made: Certificates,
    directory: TestDirectory,
}

/// A client's certificate and key.
pub(crate) type ClientFiles = (PathBuf, PathBuf);

impl Pki {
    pub(crate) fn create() -> Self {
        let directory = TestDirectory::create("tls");
        Self { made: Certificates::create(directory.path()), directory }
    }

    pub(crate) fn files(&self, client_certificates: Option<ClientCertificates>) -> TlsFiles {
        TlsFiles {
            certificate_file: self.made.server_cert.clone(),
            key_file: self.made.server_key.clone(),
            client_certificates,
        }
    }

    pub(crate) fn wanted(&self, demand: Demand) -> ClientCertificates {
        ClientCertificates { ca_file: self.made.ca_file.clone(), demand, subject_as_user: false }
    }

    fn server(&self, client_certificates: Option<ClientCertificates>) -> Server {
        Server::start(Transport::Tls(TlsSource::load(self.files(client_certificates)).unwrap()))
    }
}

/// What a client trusts and shows.
pub(crate) fn client_config(ca_file: &Path, own: Option<&ClientFiles>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca_file).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    match own {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_file(certificate).unwrap()],
                PrivateKeyDer::from_pem_file(key).unwrap(),
            )
            .unwrap(),
    }
}

pub(crate) async fn dial(server: &Server, config: ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(server.address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    within_deadline(TlsConnector::from(Arc::new(config)).connect(name, stream)).await
}

/// Whether a client gets as far as a CONNACK. With TLS 1.3 a client that is refused for its certificate learns it
/// only after its own half of the handshake.
async fn is_let_in(server: &Server, config: ClientConfig) -> bool {
    let Ok(stream) = dial(server, config).await else { return false };
    let mut client = Client::new(stream);
    let packet = crate::client::encoded(&connect("c"));
    let _refused = tokio::io::AsyncWriteExt::write_all(&mut client.stream, &packet).await;
    matches!(client.next().await, Some(Packet::ConnAck(connack)) if connack.reason == ReasonCode::Success)
}

#[tokio::test]
async fn a_client_without_certificate_speaks_mqtt_over_tls() {
    let pki = Pki::create();
    let server = pki.server(None);
    let stream = dial(&server, client_config(&pki.made.ca_file, None)).await.unwrap();
    let mut client = Client::open(stream, "plain").await;
    assert_eq!(client.subscribe("a/#").await, ReasonCode::GrantedQos1);
    client.echo("a/b", b"hello").await;
    server.wait_for_open(1);
    client.send(&Packet::PingReq).await;
    assert_eq!(client.next().await, Some(Packet::PingResp));
    drop(client);
    server.wait_for_open(0);
}

/// Far more than one TLS record, and more than the kernel's buffers: the stream is written in pieces and waited for.
#[tokio::test]
async fn messages_larger_than_every_buffer_arrive_whole_and_in_order() {
    let pki = Pki::create();
    let server = pki.server(None);
    let config = client_config(&pki.made.ca_file, None);
    let mut subscriber = Client::open(dial(&server, config.clone()).await.unwrap(), "subscriber").await;
    subscriber.subscribe("big/#").await;
    let publisher = Client::open(dial(&server, config).await.unwrap(), "publisher").await;
    let sending = tokio::spawn(async move {
        let mut publisher = publisher;
        for number in 0..60_u8 {
            let mut packet = crate::client::publish("big/one", &vec![number; 200_000]);
            if let Packet::Publish(publish) = &mut packet {
                publish.qos = skein_types::QoS::AtLeastOnce;
                publish.packet_id = std::num::NonZeroU16::new(u16::from(number) + 1);
            }
            publisher.send(&packet).await;
        }
        publisher
    });
    for number in 0..60_u8 {
        match subscriber.next().await {
            Some(Packet::Publish(publish)) => {
                assert_eq!(publish.payload.len(), 200_000);
                assert!(publish.payload.iter().all(|byte| *byte == number), "message {number}");
            }
            other => panic!("no PUBLISH {number}: {other:?}"),
        }
    }
    sending.await.unwrap();
}

#[tokio::test]
async fn alpn_takes_mqtt_and_nothing_else() {
    let pki = Pki::create();
    let server = pki.server(None);
    let mut config = client_config(&pki.made.ca_file, None);
    config.alpn_protocols = vec![b"x".to_vec(), b"mqtt".to_vec()];
    let stream = dial(&server, config.clone()).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"mqtt"[..]));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    assert!(dial(&server, config).await.is_err());
    drop(stream);
    server.wait_for_open(0);
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken() {
    let pki = Pki::create();
    let server = pki.server(None);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&pki.made.ca_file).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = dial(&server, config).await.unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
        Client::open(stream, "c").await;
    }
}

#[tokio::test]
async fn a_required_certificate_must_be_shown_and_be_of_the_right_authority() {
    let pki = Pki::create();
    let stranger = Pki::create();
    let server = pki.server(Some(pki.wanted(Demand::Required)));
    let ca = &pki.made.ca_file;
    assert!(is_let_in(&server, client_config(ca, Some(&pki.made.client("ada")))).await);
    assert!(!is_let_in(&server, client_config(ca, None)).await);
    assert!(!is_let_in(&server, client_config(ca, Some(&stranger.made.client("ada")))).await);
    server.wait_for_open(0);
    assert_eq!(server.state.accepted.load(Relaxed), 3);
}

#[tokio::test]
async fn an_optional_certificate_may_be_missing_but_not_wrong() {
    let pki = Pki::create();
    let stranger = Pki::create();
    let server = pki.server(Some(pki.wanted(Demand::Optional)));
    let ca = &pki.made.ca_file;
    assert!(is_let_in(&server, client_config(ca, Some(&pki.made.client("ada")))).await);
    assert!(is_let_in(&server, client_config(ca, None)).await);
    assert!(!is_let_in(&server, client_config(ca, Some(&stranger.made.client("ada")))).await);
    server.wait_for_open(0);
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_server_leaves() {
    let pki = Pki::create();
    let server = pki.server(None);
    let error = dial(&server, client_config(&Pki::create().made.ca_file, None)).await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
    server.wait_for_open(0);
}

#[tokio::test]
async fn the_subject_of_the_certificate_is_the_user() {
    let pki = Pki::create();
    let wanted = ClientCertificates { subject_as_user: true, ..pki.wanted(Demand::Optional) };
    let list = AccessList::parse("[[rules]]\nallow = true\nfilters = ['home/%u/#']\n").unwrap();
    let transport = Transport::Tls(TlsSource::load(pki.files(Some(wanted))).unwrap());
    let server = Server::start_with(transport, settings(), list, Anonymous::Never);
    let ca = &pki.made.ca_file;
    let stream = dial(&server, client_config(ca, Some(&pki.made.client("ada")))).await.unwrap();
    let mut ada = Client::open(stream, "c").await;
    assert_eq!(ada.subscribe("home/bob/#").await, ReasonCode::NotAuthorized);
    assert_eq!(ada.subscribe("home/ada/#").await, ReasonCode::GrantedQos1);
    ada.echo("home/ada/lamp", b"on").await;
    // Without a certificate there is no user, and nobody comes in without one here.
    assert!(!is_let_in(&server, client_config(ca, None)).await);
    // A certificate that names nobody is no way around that.
    assert!(!is_let_in(&server, client_config(ca, Some(&pki.made.client("")))).await);
    drop(ada);
    server.wait_for_open(0);
}

#[tokio::test]
async fn a_reload_changes_the_certificate_and_keeps_connections() {
    let pki = Pki::create();
    let source = TlsSource::load(pki.files(None)).unwrap();
    let server = Server::start(Transport::Tls(source.clone()));
    let config = client_config(&pki.made.ca_file, None);
    let certificate = |stream: &TlsStream<TcpStream>| {
        let shown = stream.get_ref().1.peer_certificates().unwrap();
        shown.first().unwrap().clone().into_owned()
    };
    let stream = dial(&server, config.clone()).await.unwrap();
    let first = certificate(&stream);
    let mut open = Client::open(stream, "open").await;
    open.subscribe("a").await;

    pki.made.renew_server();
    source.reload().unwrap();
    let renewed = certificate(&dial(&server, config.clone()).await.unwrap());
    assert_ne!(renewed, first);
    open.echo("a", b"still here").await;

    // A renewal gone wrong: the certificate of one key beside another key, then no key at all.
    let key = std::fs::read(&pki.made.server_key).unwrap();
    let (_, other_key) = pki.made.client("other");
    std::fs::copy(other_key, &pki.made.server_key).unwrap();
    let fault = source.reload().unwrap_err().to_string();
    assert!(fault.contains("server.pem") && fault.contains("server.key"), "{fault}");
    std::fs::remove_file(&pki.made.server_key).unwrap();
    let fault = source.reload().unwrap_err().to_string();
    assert!(fault.contains("cannot read") && fault.contains("server.key"), "{fault}");
    assert_eq!(certificate(&dial(&server, config).await.unwrap()), renewed);
    open.echo("a", b"and still").await;

    std::fs::write(&pki.made.server_key, key).unwrap();
    source.reload().unwrap();
}

#[test]
fn files_that_cannot_be_used_are_named_with_the_reason() {
    let pki = Pki::create();
    let text = |files: TlsFiles| TlsSource::load(files).unwrap_err().to_string();
    let empty = pki.directory.write("empty.pem", "nothing\n");
    let broken =
        pki.directory.write("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let fault = text(TlsFiles { certificate_file: "/nowhere/c.pem".into(), ..pki.files(None) });
    assert!(fault.starts_with("tls: cannot read /nowhere/c.pem: entity not found."), "{fault}");
    let fault = text(TlsFiles { certificate_file: empty.clone(), ..pki.files(None) });
    assert!(fault.contains("empty.pem has no certificate: no section BEGIN CERTIFICATE"), "{fault}");
    let fault = text(TlsFiles { key_file: empty.clone(), ..pki.files(None) });
    assert!(fault.contains("empty.pem has no private key: no section BEGIN PRIVATE KEY"), "{fault}");
    let fault = text(TlsFiles { certificate_file: broken.clone(), ..pki.files(None) });
    assert!(fault.contains("broken.pem and "), "{fault}");
    let wanted = |ca_file: PathBuf| Some(ClientCertificates { ca_file, ..pki.wanted(Demand::Required) });
    let fault = text(pki.files(wanted(broken)));
    assert!(fault.contains("the authorities in ") && fault.contains("broken.pem"), "{fault}");
    assert!(text(pki.files(wanted(empty))).contains("empty.pem has no certificate"));
}

#[test]
fn garbage_instead_of_tls_ends_the_connection_once() {
    let pki = Pki::create();
    let server = pki.server(None);
    for garbage in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x10, 0x0c, 0, 4], &[0x16, 3, 1, 0xff, 0xff, 1], &[0; 4096]]
    {
        let mut client = std::net::TcpStream::connect(server.address).unwrap();
        client.set_read_timeout(Some(DEADLINE)).unwrap();
        std::io::Write::write_all(&mut client, garbage).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        // An alert may come first; the end must.
        let mut answer = Vec::new();
        match client.read_to_end(&mut answer) {
            Ok(_) => assert!(answer.is_empty() || answer[0] == 0x15, "{answer:x?}"),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
    }
    server.wait_for_open(0);
    assert_eq!(server.state.accepted.load(Relaxed), 4);
}

#[test]
fn a_handshake_that_does_not_end_is_ended() {
    let pki = Pki::create();
    let settings = with_timeout(Duration::from_millis(200));
    let transport = Transport::Tls(TlsSource::load(pki.files(None)).unwrap());
    let server = Server::start_with(transport, settings, AccessList::open(), Anonymous::Always);
    let mut silent = RawClient::connect(server.address);
    let mut halting = RawClient::connect(server.address);
    halting.send_bytes(&[0x16, 3, 1, 0x02]);
    silent.expect_closed();
    halting.expect_closed();
    server.wait_for_open(0);
}

#[tokio::test]
async fn a_client_that_connects_and_says_nothing_is_ended_after_the_handshake_too() {
    let pki = Pki::create();
    let settings = with_timeout(Duration::from_secs(1));
    let transport = Transport::Tls(TlsSource::load(pki.files(None)).unwrap());
    let server = Server::start_with(transport, settings, AccessList::open(), Anonymous::Always);
    let mut client = Client::new(dial(&server, client_config(&pki.made.ca_file, None)).await.unwrap());
    assert_eq!(client.next().await, None);
    drop(client);
    server.wait_for_open(0);
}

#[test]
fn a_stop_does_not_wait_for_handshakes() {
    let pki = Pki::create();
    let server = pki.server(None);
    let mut silent = RawClient::connect(server.address);
    server.wait_for_open(1);
    // The worker has it once it counts; whether its handshake began does not matter.
    server.shared.stop();
    silent.expect_closed();
    wait_until("its place is free", DEADLINE, || server.state.open.load(Relaxed) == 0);
}

/// A client that reads nothing is found out although its bytes have left the session's outbox.
#[tokio::test]
async fn a_client_that_reads_nothing_is_closed_as_a_slow_consumer() {
    let pki = Pki::create();
    let mut settings = settings();
    let mut limits = *settings.session;
    limits.outbox_bytes_max = 256 * 1024;
    limits.slow_consumer_timeout = Duration::from_millis(500);
    settings.session = Arc::new(limits);
    let transport = Transport::Tls(TlsSource::load(pki.files(None)).unwrap());
    let server = Server::start_with(transport, settings, AccessList::open(), Anonymous::Always);
    let config = client_config(&pki.made.ca_file, None);
    let mut idle = Client::open(dial(&server, config.clone()).await.unwrap(), "idle").await;
    idle.subscribe("flood").await;
    let mut publisher = Client::open(dial(&server, config).await.unwrap(), "publisher").await;
    let payload = vec![0; 100_000];
    let start = std::time::Instant::now();
    while server.state.open.load(Relaxed) == 2 {
        assert!(start.elapsed() < DEADLINE, "the idle client stays");
        publisher.send(&crate::client::publish("flood", &payload)).await;
        publisher.send(&Packet::PingReq).await;
        assert_eq!(publisher.next().await, Some(Packet::PingResp));
    }
    server.wait_for_open(1);
    publisher.send(&Packet::PingReq).await;
    assert_eq!(publisher.next().await, Some(Packet::PingResp));
}
