//! A listener's certificate and key. Read at every load, so that they rotate by SIGHUP; a pair that does not fit is a problem of the
//! configuration like any other, and the old one stays.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::environment::Environment;
use super::field::Field;

/// Who a TLS listener says it is. The key is never printed.
#[derive(Clone)]
pub struct Identity {
    /// The chain and its key; `None` where files may be missing (`check --without-env`).
    pub certified: Option<Arc<CertifiedKey>>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificates", &self.certified.as_ref().map(|pair| pair.cert.len())).finish_non_exhaustive()
    }
}

/// Reads the PEM files two fields name.
pub(super) fn read(cert: &Field<'_>, key: &Field<'_>, environment: &dyn Environment) -> Option<Identity> {
    let (Some(chain_text), Some(key_text)) = (pem(cert, environment), pem(key, environment)) else {
        return environment.skips_missing().then_some(Identity { certified: None });
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain_text.as_bytes()).collect();
    let chain = match chain {
        Ok(chain) if !chain.is_empty() => chain,
        _ => return cert.fail("holds no certificate in PEM"),
    };
    let Ok(private) = PrivateKeyDer::from_pem_slice(key_text.as_bytes()) else {
        return key.fail("holds no private key in PEM (PKCS#8, PKCS#1 or SEC1, not encrypted)");
    };
    match CertifiedKey::from_der(chain, private, &ring::default_provider()) {
        Ok(pair) => Some(Identity { certified: Some(Arc::new(pair)) }),
        Err(rustls::Error::InconsistentKeys(_)) => key.fail("does not belong to the certificate"),
        Err(error) => cert.fail(format!("cannot be used: {error}")),
    }
}

fn pem(field: &Field<'_>, environment: &dyn Environment) -> Option<String> {
    let path = field.text()?;
    match environment.file(path) {
        Ok(text) => Some(text),
        Err(_) if environment.skips_missing() => None,
        Err(error) => field.fail(format!("cannot read {path}: {error}")),
    }
}
