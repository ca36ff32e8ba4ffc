//! TLS below a protocol: certificates from PEM files, exchanged while connections stay open.
//!
//! A [`TlsSource`] is made once for a listener and reloaded when its files change; connections that are open keep the
//! keys they have. The provider of the cryptography is named here, never taken from the process, so that a second one
//! in the binary cannot stop the server. Keys are never shown or logged.

mod subject;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use skein_types::{Code, UserName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::failure::HandshakeFailure;

/// The files of a TLS listener and what it wants from clients.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The server's certificate and those between it and its authority, in this order (PEM).
    pub certificate_file: PathBuf,
    /// The private key of the server's certificate (PEM).
    pub key_file: PathBuf,
    /// Whether and how clients show certificates; `None` does not ask for any.
    pub client_certificates: Option<ClientCertificates>,
}

/// What a TLS listener wants from clients' certificates.
#[derive(Clone, Debug)]
pub struct ClientCertificates {
    /// The authorities whose clients are let in (PEM).
    pub ca_file: PathBuf,
    /// Whether a client may come without.
    pub demand: Demand,
    /// Whether the common name of the certificate's subject is the client's user.
    pub subject_as_user: bool,
}

/// Whether a client must show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// It may; a wrong one is refused all the same.
    Optional,
    /// Nobody is let in without.
    Required,
}

/// Why TLS cannot be served with these files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read.
    #[error("tls: cannot read {}: {why}. Check the path and that the server's user may read the file.", file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// What the operating system said.
        why: io::ErrorKind,
    },
    /// A file is not PEM, or has nothing of the right kind in it.
    #[error("tls: {} has no {wanted}: {why}. Name a PEM file with one.", file.display())]
    NothingIn {
        /// Which.
        file: PathBuf,
        /// What should be in it.
        wanted: &'static str,
        /// What was found instead.
        why: String,
    },
    /// The certificate and the key cannot be used, or not together.
    #[error(
        "tls: {} and {} cannot be used: {why}. Name a certificate and the key it was made with.",
        certificate_file.display(), key_file.display()
    )]
    Unusable {
        /// The certificate's file.
        certificate_file: PathBuf,
        /// The key's file.
        key_file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The authorities for clients cannot be used.
    #[error("tls: the authorities in {} cannot be used: {why}. Name a PEM file with CA certificates.", file.display())]
    UnusableAuthorities {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// The TLS configuration of a listener, exchanged as a whole by [`TlsSource::reload`].
#[derive(Debug)]
pub struct TlsSource {
    files: TlsFiles,
    configs: ArcSwap<Configs>,
}

/// One set of files, for whatever is spoken inside.
#[derive(Debug)]
struct Configs {
    base: ServerConfig,
    /// The same for each protocol inside, made when it is first asked for.
    by_protocol: Mutex<Vec<(&'static [u8], Arc<ServerConfig>)>>,
}

impl TlsSource {
    /// Reads the files. Blocks while it does.
    ///
    /// # Errors
    /// When a file cannot be read or used.
    pub fn load(files: TlsFiles) -> Result<Arc<Self>, TlsError> {
        let configs = ArcSwap::from_pointee(Configs::read(&files)?);
        Ok(Arc::new(Self { files, configs }))
    }

    /// Reads the files again for connections to come. Blocks while it does. Open connections are left alone.
    ///
    /// Sessions that clients kept for a quick return belong to the old configuration and are not resumed, so that an
    /// authority that was removed lets nobody in by the back door.
    ///
    /// # Errors
    /// When a file cannot be read or used; what was in force then stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.configs.store(Arc::new(Configs::read(&self.files)?));
        Ok(())
    }

    /// Shakes hands with a client; returns its stream and the user its certificate names, if that is wanted. `alpn` is
    /// what is spoken inside (RFC 7301); a client that names nothing is let in.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
        alpn: &'static [u8],
    ) -> Result<(TlsStream<TcpStream>, Option<UserName>), HandshakeFailure> {
        let config = self.configs.load().inside(alpn);
        let accepted = TlsAcceptor::from(config).accept(stream).into_fallible().await;
        let stream = match accepted {
            Ok(stream) => stream,
            Err((error, stream)) => return Err(failure(&error).on(stream)),
        };
        match self.user_of(&stream) {
            Ok(user) => Ok((stream, user)),
            Err(why) => {
                let failure = HandshakeFailure::new(Code::BadCredentials, format!("TLS: {why}"));
                Err(failure.on(stream))
            }
        }
    }

    fn user_of(&self, stream: &TlsStream<TcpStream>) -> Result<Option<UserName>, subject::SubjectError> {
        let wanted = self.files.client_certificates.as_ref().is_some_and(|wanted| wanted.subject_as_user);
        let (_, session) = stream.get_ref();
        match session.peer_certificates().and_then(<[_]>::first) {
            Some(certificate) if wanted => subject::user_of(certificate).map(Some),
            _ => Ok(None),
        }
    }
}

impl Configs {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let unusable = |error: rustls::Error| TlsError::Unusable {
            certificate_file: files.certificate_file.clone(),
            key_file: files.key_file.clone(),
            why: error.to_string(),
        };
        let chain = read_certificates(&files.certificate_file)?;
        let key = read_key(&files.key_file)?;
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(unusable)?;
        let builder = match &files.client_certificates {
            None => builder.with_no_client_auth(),
            Some(wanted) => builder.with_client_cert_verifier(verifier(wanted, provider)?),
        };
        let base = builder.with_single_cert(chain, key).map_err(unusable)?;
        Ok(Self { base, by_protocol: Mutex::default() })
    }

    fn inside(&self, alpn: &'static [u8]) -> Arc<ServerConfig> {
        let mut known = self.by_protocol.lock();
        if let Some((_, config)) = known.iter().find(|(name, _)| *name == alpn) {
            return config.clone();
        }
        let mut config = self.base.clone();
        config.alpn_protocols = vec![alpn.to_vec()];
        let config = Arc::new(config);
        known.push((alpn, config.clone()));
        config
    }
}

fn verifier(
    wanted: &ClientCertificates,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let file = &wanted.ca_file;
    let unusable = |why: String| TlsError::UnusableAuthorities { file: file.clone(), why };
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(file)? {
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    if wanted.demand == Demand::Optional {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map_err(|error| unusable(error.to_string()))
}

fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(file)?;
    let nothing = |why: String| TlsError::NothingIn { file: file.to_path_buf(), wanted: "certificate", why };
    let certificates: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&bytes).collect();
    let certificates = certificates.map_err(|error| nothing(error.to_string()))?;
    if certificates.is_empty() {
        return Err(nothing("no section BEGIN CERTIFICATE".to_owned()));
    }
    Ok(certificates)
}

fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(file)?).map_err(|error| TlsError::NothingIn {
        file: file.to_path_buf(),
        wanted: "private key",
        why: match error {
            pem::Error::NoItemsFound => "no section BEGIN PRIVATE KEY without a password".to_owned(),
            error => error.to_string(),
        },
    })
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(file).map_err(|error| TlsError::Unreadable { file: file.to_path_buf(), why: error.kind() })
}

/// Why a handshake failed: what the client did, or that it left.
fn failure(error: &io::Error) -> HandshakeFailure {
    let reason = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let code = match reason {
        None => Code::ConnectionLost,
        Some(rustls::Error::NoCertificatesPresented | rustls::Error::InvalidCertificate(_)) => {
            Code::BadCredentials
        }
        // The client did not like our certificate, or had none of those it was asked for.
        Some(rustls::Error::AlertReceived(_)) => Code::ProtocolError,
        Some(_) => Code::Malformed,
    };
    HandshakeFailure::new(code, format!("TLS: {error}"))
}
