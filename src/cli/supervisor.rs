//! What a service manager and a running server tell each other, by systemd's protocols: the socket that is handed over
//! (sd_listen_fds(3)), and news of the server's state (sd_notify(3)). Without such a manager everything here does nothing.

use std::net::TcpListener;
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;

/// The socket that was handed over, if one was. To be called once, before anything else opens a descriptor or starts a
/// thread.
///
/// # Errors
/// One sentence: there are several, or it is none that clients can connect to.
pub(super) fn listener() -> Result<Option<TcpListener>, String> {
    let mut handed = ListenFd::from_env();
    if handed.len() > 1 {
        return Err(format!(
            "the service manager handed over {} sockets; picket serves on one",
            handed.len()
        ));
    }
    let unusable = |why: &dyn std::fmt::Display| {
        format!("the service manager's socket is none to accept connections on: {why}")
    };
    let Some(listener) = handed
        .take_tcp_listener(0)
        .map_err(|error| unusable(&error))?
    else {
        return Ok(None);
    };
    match rustix::net::sockopt::socket_acceptconn(&listener) {
        Ok(true) => Ok(Some(listener)),
        Ok(false) => Err(unusable(&"it does not listen (Accept=no is needed)")),
        Err(error) => Err(unusable(&error)),
    }
}

/// Says that the server serves, and one line for `systemctl status`.
pub(super) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Says that the server finishes what it has begun.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

/// Says that the server is alive and can write.
pub(super) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often [`alive`] is waited for, twice over: whoever calls it as often is never late. None: nobody waits.
pub(super) fn alive_every() -> Option<Duration> {
    let within = sd_notify::watchdog_enabled()?;
    Some((within / 2).max(Duration::from_millis(1)))
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        log::warn!("the service manager cannot be told how the server is: {error}");
    }
}
