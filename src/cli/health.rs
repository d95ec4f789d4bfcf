//! `picket health`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Command, Failure, Flag, Invocation, print};
use crate::outbound::probe::{self, Said};

pub(super) const COMMAND: Command = Command {
    name: "health",
    summary: "ask whether the server is ready",
    about: "Asks the server that listens where the setting listen says (in the environment or the settings file), or the \
            one that --url names, whether it is ready. Ends with 0 if it is; else it says why not, and ends with 1. It is \
            for container engines and the like, where nothing else is installed that could ask.",
    arguments: &[],
    options: &[URL],
    serves: false,
    run,
};

const URL: Flag = Flag {
    name: "url",
    hint: Some("URL"),
    meaning: "the server to ask, such as http://127.0.0.1:9000",
};

fn run(invocation: &Invocation) -> Result<(), Failure> {
    let (url, answer) = match invocation.option(URL.name) {
        Some(url) => ask(url.trim_end_matches('/').to_owned()),
        None => {
            let address = reachable(invocation.config.listen);
            match ask(format!("http://{address}")) {
                // Whoever speaks TLS there has no answer in plain text.
                (plain, Err(error)) => match ask(format!("https://{address}")) {
                    (_, Err(_)) => (plain, Err(error)),
                    answered => answered,
                },
                answered => answered,
            }
        }
    };
    let answer = answer.map_err(|error| {
        Failure::Failed(format!("the server at {url} cannot be asked: {error}"))
    })?;
    match answer.status {
        200..300 => print("ready\n"),
        status => Err(Failure::Failed(format!(
            "the server at {url} is not ready: it answered {status} {}",
            answer.first_line
        ))),
    }
}

fn ask(url: String) -> (String, Result<Said, String>) {
    let answer = probe::ask(&format!("{url}/health/ready"));
    (url, answer)
}

/// Where this machine itself reaches whoever listens on an address.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_means_all_is_asked_on_this_machine() {
        let asked = |listen: &str| reachable(listen.parse().unwrap()).to_string();
        assert_eq!(asked("0.0.0.0:9000"), "127.0.0.1:9000");
        assert_eq!(asked("[::]:9000"), "[::1]:9000");
        assert_eq!(asked("192.0.2.1:80"), "192.0.2.1:80");
    }
}
