//! Asks a server of this machine's own how it is. Whatever its certificate says: the question tells nothing, and the
//! server is found by an address that no certificate names.

use std::time::Duration;

use ureq::Agent;
use ureq::tls::TlsConfig;

/// A whole exchange takes no longer.
const TIME_MAX: Duration = Duration::from_secs(5);

const BODY_BYTES_MAX: u64 = 64 << 10;

/// What the server said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) first_line: String,
}

/// Asks for `url`, once.
///
/// # Errors
/// One sentence: there is no answer, or none that is HTTP.
pub(crate) fn ask(url: &str) -> Result<Said, String> {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .timeout_global(Some(TIME_MAX))
        .tls_config(TlsConfig::builder().disable_verification(true).build())
        .user_agent(concat!("picket/", env!("CARGO_PKG_VERSION")))
        .build();
    let mut response = Agent::new_with_config(config)
        .get(url)
        .call()
        .map_err(|error| error.to_string())?;
    let body = response
        .body_mut()
        .with_config()
        .limit(BODY_BYTES_MAX)
        .read_to_vec()
        .map_err(|error| error.to_string())?;
    let body = String::from_utf8_lossy(&body);
    Ok(Said {
        status: response.status().as_u16(),
        first_line: body.lines().next().unwrap_or_default().to_owned(),
    })
}
