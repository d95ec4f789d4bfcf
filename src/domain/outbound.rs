//! What the operator says about other servers that this one asks.

use std::path::PathBuf;

/// Whom the one HTTP client may reach, and whom it believes.
#[derive(Clone, Debug, Default)]
pub struct OutboundSettings {
    /// Hosts, each perhaps with a port, that may have private addresses and be asked without TLS.
    pub internal_hosts: Vec<String>,
    /// PEM file of the certificates that are trusted instead of the built-in ones.
    pub ca_file: Option<PathBuf>,
}
