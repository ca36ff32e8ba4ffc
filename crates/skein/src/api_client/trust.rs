//! Whose certificates a node may show over `https://`.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, bail};
use clap::Args;
use rustls::crypto::ring;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// What to try when a certificate is not trusted.
pub(super) const ADVICE: &str = "If the node's certificate is of an authority of your own, name the authority's certificate by \
                                 --cacert, and use the name in --url that the certificate has";

#[derive(Args, Clone, Debug)]
pub(crate) struct TrustArgs {
    /// File with the certificates of the authorities to trust over https://, in PEM form [default: the system's]
    #[arg(long, value_name = "FILE", global = true)]
    cacert: Option<PathBuf>,
}

impl TrustArgs {
    /// How to speak to `url`. Nothing is read where TLS is not spoken.
    pub(super) fn tls(&self, url: &str) -> anyhow::Result<TlsConfig> {
        let builder = TlsConfig::builder();
        if !url.starts_with("https://") {
            return Ok(builder.build());
        }
        let authorities = match &self.cacert {
            Some(_) => self.of_file()?,
            None => of_system()?,
        };
        Ok(builder
            .root_certs(RootCerts::Specific(Arc::new(authorities)))
            .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
            .build())
    }

    fn of_file(&self) -> anyhow::Result<Vec<Certificate<'static>>> {
        let file = self.cacert.clone().unwrap_or_default();
        let text = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let mut certificates = Vec::new();
        for item in parse_pem(&text) {
            let item = item.with_context(|| format!("{} is not in PEM form", file.display()))?;
            if let PemItem::Certificate(certificate) = item {
                certificates.push(certificate);
            }
        }
        if certificates.is_empty() {
            bail!("{} has no certificate in PEM form", file.display());
        }
        Ok(certificates)
    }
}

fn of_system() -> anyhow::Result<Vec<Certificate<'static>>> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let why: String = found.errors.iter().map(|error| format!(": {error}")).collect();
        bail!("this system trusts no authority{why}; name the certificates to trust by --cacert");
    }
    Ok(found.certs.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect())
}
