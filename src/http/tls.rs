//! The certificate that clients are shown, and how it is changed while the server runs.
//!
//! TLS 1.2 and 1.3, HTTP/1.1 and nothing else above them, no early data (it can be replayed). The files are read at
//! start and when they are to be read again; a new pair that is no good leaves the old one in use. Connections that
//! exist keep what they began with. Together with `gate::tls`, which runs the handshakes, this alone names `rustls`.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{InconsistentKeys, ServerConfig};

use super::{lock_for_reading, lock_for_writing};

/// A certificate with its key, from two files.
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    config: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads a certificate, with those between it and its authority behind it, and its key, both PEM.
    ///
    /// # Errors
    /// One sentence: a file cannot be read or holds nothing of its kind, or the two do not belong together.
    pub fn load(certificate: &Path, key: &Path) -> Result<Tls, String> {
        Ok(Tls {
            config: RwLock::new(Arc::new(read(certificate, key)?)),
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        })
    }

    /// Reads the files again, for the connections to come.
    ///
    /// # Errors
    /// As [`Tls::load`]; then nothing has changed.
    pub fn reload(&self) -> Result<(), String> {
        let config = read(&self.certificate, &self.key)?;
        *lock_for_writing(&self.config) = Arc::new(config);
        Ok(())
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&lock_for_reading(&self.config))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("certificate", &self.certificate)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

fn read(certificate_file: &Path, key_file: &Path) -> Result<ServerConfig, String> {
    let certificates = read_certificates(certificate_file)?;
    let key = read_key(key_file)?;
    let shown = (certificate_file.display(), key_file.display());
    let provider = Arc::new(ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| format!("TLS is not possible: {error}"))?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                format!(
                    "the key in {} is not that of the first certificate in {}",
                    shown.1, shown.0
                )
            }
            rustls::Error::InvalidCertificate(error) => {
                format!(
                    "the first certificate in {} is not valid: {error:?}",
                    shown.0
                )
            }
            error => format!("the key in {} cannot be used: {error}", shown.1),
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // So that who comes again is spared most of a handshake, whatever number of others came in between. The tickets
    // of one certificate are worth nothing after the next.
    config.ticketer =
        ring::Ticketer::new().map_err(|error| format!("TLS is not possible: {error}"))?;
    Ok(config)
}

fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let shown = file.display();
    let text = fs::read(file)
        .map_err(|error| format!("the certificate {shown} cannot be read: {error}"))?;
    let certificates = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("the certificate {shown} is damaged: {error}"))?;
    match certificates.is_empty() {
        true => Err(format!("there is no certificate (PEM) in {shown}")),
        false => Ok(certificates),
    }
}

fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let shown = file.display();
    let text =
        fs::read(file).map_err(|error| format!("the key {shown} cannot be read: {error}"))?;
    let is_encrypted = |mark: &[u8]| memchr::memmem::find(&text, mark).is_some();
    if is_encrypted(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
        || is_encrypted(b"Proc-Type: 4,ENCRYPTED")
    {
        return Err(format!(
            "the key in {shown} is encrypted; Picket cannot ask for a passphrase, so store it without one, \
             readable by its own user alone"
        ));
    }
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        pem::Error::NoItemsFound => format!("there is no private key (PEM) in {shown}"),
        error => format!("the key in {shown} is damaged: {error}"),
    })
}
