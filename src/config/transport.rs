//! `tls` and `http2` of a provider: how its hosts are spoken to.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use sha2::{Digest, Sha256};

use super::field::{Field, Section};
use super::value::Vault;

const TLS: &[&str] = &["ca_file", "server_name"];

/// How an endpoint is spoken to, beyond its URL.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Transport {
    /// Certificate authorities trusted for this provider, beside the system's.
    pub authorities: Option<Authorities>,
    /// The name that is asked for and verified, where it is not the host's.
    pub server_name: Option<String>,
    /// HTTP/2 where the host offers it (ALPN); without TLS, HTTP/2 without asking.
    pub http2: bool,
}

/// Certificates of a `ca_file`. Equal where the file's certificates are.
#[derive(Clone)]
pub struct Authorities {
    /// The certificates, in the order of the file.
    pub certificates: Arc<[CertificateDer<'static>]>,
    digest: [u8; 32],
}

impl Transport {
    /// Reads a provider's `tls` and `http2`.
    pub(super) fn read(provider: &Section<'_>, vault: &Vault<'_>) -> Option<Self> {
        let mut transport = Self::default();
        if let Some(http2) = provider.get("http2") {
            transport.http2 = http2.boolean()?;
        }
        let Some(section) = provider.get("tls") else { return Some(transport) };
        let section = section.section(TLS)?;
        if let Some(name) = section.get("server_name") {
            transport.server_name = Some(server_name(&name)?);
        }
        if let Some(file) = section.get("ca_file") {
            transport.authorities = Authorities::read(&file, vault)?;
        }
        Some(transport)
    }
}

impl Authorities {
    /// Reads a `ca_file`; nothing where files may be missing.
    #[expect(clippy::option_option, reason = "outer: reported; inner: missing, and allowed to be")]
    pub(super) fn read(field: &Field<'_>, vault: &Vault<'_>) -> Option<Option<Self>> {
        Self::of_file(field.text()?, field, vault)
    }

    /// The same of a path that stands elsewhere; what is wrong is reported at `field`.
    #[expect(clippy::option_option, reason = "as above")]
    pub(super) fn of_file(path: &str, field: &Field<'_>, vault: &Vault<'_>) -> Option<Option<Self>> {
        let text = match vault.file(path) {
            Ok(text) => text,
            Err(_) if vault.skips_missing() => return Some(None),
            Err(error) => return field.fail(format!("cannot read {path}: {error}")),
        };
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
        let certificates = match certificates {
            Ok(certificates) if certificates.is_empty() => return field.fail(format!("{path} holds no certificate in PEM form")),
            Ok(certificates) => certificates,
            Err(error) => return field.fail(format!("{path} is no PEM file: {error:?}")),
        };
        for (index, certificate) in certificates.iter().enumerate() {
            if let Err(error) = RootCertStore::empty().add(certificate.clone()) {
                return field.fail(format!("{path}: certificate {} cannot be used: {error}", index + 1));
            }
        }
        Some(Some(Self::new(certificates)))
    }

    fn new(certificates: Vec<CertificateDer<'static>>) -> Self {
        let mut digest = Sha256::new();
        certificates.iter().for_each(|certificate| digest.update(certificate));
        Self { certificates: certificates.into(), digest: digest.finalize().into() }
    }
}

impl PartialEq for Authorities {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Authorities {}

impl Hash for Authorities {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} certificates", self.certificates.len())
    }
}

fn server_name(field: &Field<'_>) -> Option<String> {
    let text = field.text()?.trim();
    if ServerName::try_from(text).is_ok() {
        return Some(text.to_owned());
    }
    field.fail("is not a host name or an address")
}
