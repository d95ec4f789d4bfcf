//! The running server as clients reach it: whether the URL prefix leads to it, and what stands in between.

use serde::Deserialize;
use ureq::http::Request;

use super::{Report, Subject, size, span};
use crate::domain::dsn::{UrlPrefix, host_of};
use crate::domain::outbound::OutboundSettings;
use crate::domain::seal::{self, Seal};
use crate::domain::time::Timestamp;
use crate::outbound::http::Client;
use crate::store::inspection::Inspection;

/// A proxy's clock may be off by less.
const CLOCK_TOLERANCE_SECS: u64 = 60;

/// What the server says to whoever can read its database.
#[derive(Deserialize)]
struct Seen {
    proof: String,
    version: String,
    /// Whom it takes for the client.
    client: String,
    host: Option<String>,
    forwarded_for: Option<String>,
    body_bytes_max: u64,
}

#[derive(Deserialize)]
struct Live {
    doctor: Option<Seen>,
}

pub(super) fn examine(report: &mut Report, subject: &Subject, found: Option<&Inspection>) {
    let Some(found) = found.filter(|found| found.is_served) else {
        return report.ok(
            "url-prefix",
            "no server runs on the database, so what clients see was not looked at",
        );
    };
    let Some(prefix) = &subject.url_prefix else {
        return report.warn(
            "url-prefix",
            "the server takes a free port, so where clients reach it is not known here",
            "set --url-prefix, or a port in --listen",
        );
    };
    let client = match client(prefix, &subject.outbound) {
        Ok(client) => client,
        Err(error) => {
            return report.fault(
                "url-prefix",
                format!("{prefix} was not asked: {error}"),
                "put that setting right",
            );
        }
    };
    let now = subject.clock.now();
    if let Some(seen) = ask(report, &client, prefix, found.seal, now) {
        ready(report, &client, prefix);
        version(report, &seen);
        host(report, prefix, &seen);
        forwarded(report, &seen);
        body_size(report, &client, prefix, &seen);
    }
}

/// A client that may ask this one host, wherever it is: the operator named it.
fn client(prefix: &UrlPrefix, outbound: &OutboundSettings) -> Result<Client, String> {
    let mut outbound = outbound.clone();
    outbound
        .internal_hosts
        .push(host_of(authority(prefix)).to_owned());
    Client::new(&outbound)
}

fn authority(prefix: &UrlPrefix) -> &str {
    let text = prefix.as_str();
    text.split_once("://")
        .map_or(text, |(_, authority)| authority)
}

fn ask(
    report: &mut Report,
    client: &Client,
    prefix: &UrlPrefix,
    seal: Seal,
    now: Timestamp,
) -> Option<Seen> {
    let nonce = format!("{:032x}", rand::random::<u128>());
    let request = Request::get(format!("{prefix}/health/live"))
        .header(seal::FIELD, seal.question(&nonce))
        .body(Vec::new());
    // The prefix was checked when it was read, so this is a URL.
    let answer = match request {
        Ok(request) => client.call(request).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            report.fault(
                "url-prefix",
                format!("{prefix} cannot be reached from here: {error}"),
                "look at the name, the certificate and the proxy; if clients do reach it and only this machine does not, \
                 that is for its network",
            );
            return None;
        }
    };
    let status = answer.status();
    if status.is_redirection() {
        let location = answer.headers().get("location");
        let location = location.and_then(|value| value.to_str().ok());
        report.fault(
            "url-prefix",
            format!("{prefix} sends clients on to {}", location.unwrap_or("elsewhere")),
            "SDKs do not follow: set --url-prefix to where it leads, and give DSNs with that address",
        );
        return None;
    }
    let live: Option<Live> = serde_json::from_slice(answer.body()).ok();
    let seen = live.and_then(|live| live.doctor);
    match seen.filter(|seen| status == 200 && seal.is_answer(&nonce, &seen.proof)) {
        Some(seen) => {
            report.ok(
                "url-prefix",
                format!("{prefix} leads to the server of this database"),
            );
            date(report, answer.headers().get("date"), now);
            Some(seen)
        }
        None => {
            report.fault(
                "url-prefix",
                format!("what answers at {prefix} (status {status}) is not the server of this database"),
                "set --url-prefix here and for the server to the address that clients use, and look where the proxy leads; \
                 a proxy must pass on the path /health/live and the field Picket-Doctor",
            );
            None
        }
    }
}

/// What `/health/ready` says while the server takes no events.
#[derive(Deserialize)]
struct NotReady {
    reasons: Vec<String>,
}

fn ready(report: &mut Report, client: &Client, prefix: &UrlPrefix) {
    let request = Request::get(format!("{prefix}/health/ready")).body(Vec::new());
    // It answered a moment ago.
    let Some(answer) = request.ok().and_then(|request| client.call(request).ok()) else {
        return;
    };
    if answer.status() == 200 {
        return report.ok("ready", "the server takes events");
    }
    let found: Option<NotReady> = serde_json::from_slice(answer.body()).ok();
    let reasons = found.map(|found| found.reasons.join(", "));
    report.fault(
        "ready",
        format!(
            "the server takes no events now: {}",
            reasons.unwrap_or_else(|| format!("status {}", answer.status()))
        ),
        "its log says more; what keeps it is in the README under /health/ready",
    );
}

fn date(report: &mut Report, date: Option<&ureq::http::HeaderValue>, now: Timestamp) {
    let said = date
        .and_then(|value| value.to_str().ok())
        .and_then(|text| jiff::fmt::rfc2822::parse(text).ok());
    let Some(said) = said else {
        return;
    };
    let off = said.timestamp().as_second().abs_diff(now.secs());
    if off > CLOCK_TOLERANCE_SECS {
        report.warn(
            "clock",
            format!(
                "what answers there has a clock that differs from this one by {}",
                span(off)
            ),
            "set both clocks, best by a service such as chrony or systemd-timesyncd",
        );
    }
}

fn version(report: &mut Report, seen: &Seen) {
    let own = env!("CARGO_PKG_VERSION");
    if seen.version != own {
        report.warn(
            "version",
            format!(
                "the server is of version {}, and this program of {own}",
                seen.version
            ),
            "start the server anew, so that it is the program that is installed",
        );
    }
}

fn host(report: &mut Report, prefix: &UrlPrefix, seen: &Seen) {
    let sent = authority(prefix);
    match &seen.host {
        Some(host) if host.eq_ignore_ascii_case(sent) => {
            report.ok(
                "proxy-host",
                "the host that clients name reaches the server",
            );
        }
        other => report.warn(
            "proxy-host",
            format!(
                "clients name the host {sent}, and the server hears {}",
                other.as_deref().unwrap_or("none")
            ),
            "let the proxy pass the host on (nginx: proxy_set_header Host $host;)",
        ),
    }
}

fn forwarded(report: &mut Report, seen: &Seen) {
    let Some(list) = &seen.forwarded_for else {
        return report.ok(
            "proxy-address",
            format!(
                "the server takes {} for this client; if there is a proxy, it says nothing about addresses",
                seen.client
            ),
        );
    };
    let is_believed = list
        .split(',')
        .any(|address| is_same_address(address.trim(), &seen.client));
    match is_believed {
        true => report.ok(
            "proxy-address",
            format!("the server believes the proxy that this client has the address {}", seen.client),
        ),
        false => report.warn(
            "proxy-address",
            format!(
                "a proxy says that this client is {list}, and the server takes it for {}",
                seen.client
            ),
            "name the proxy's address in --trusted-proxy; until then every client has the proxy's address, and limits by \
             address hit all of them together",
        ),
    }
}

fn is_same_address(text: &str, address: &str) -> bool {
    let ip = |text: &str| {
        let socket = text.parse::<std::net::SocketAddr>().ok();
        let ip = text
            .parse()
            .ok()
            .or_else(|| socket.map(|socket| socket.ip()));
        ip.map(|ip: std::net::IpAddr| ip.to_canonical())
    };
    ip(text).is_some_and(|ip_of_text| Some(ip_of_text) == ip(address))
}

fn body_size(report: &mut Report, client: &Client, prefix: &UrlPrefix, seen: &Seen) {
    let bytes = seen.body_bytes_max;
    let shown = size(bytes);
    // The project does not matter: nothing is sent.
    match client.offer_body(&format!("{prefix}/api/1/envelope/"), bytes) {
        Ok(Some(413)) => report.fault(
            "proxy-body-size",
            format!("a proxy refuses requests of {shown}, which the server would take"),
            "raise the proxy's limit (nginx: client_max_body_size 40m;), or lower --max-body-bytes",
        ),
        Ok(Some(status)) => report.warn(
            "proxy-body-size",
            format!("a request of {shown} was answered {status} before it was sent"),
            "look at the limits of what stands before the server",
        ),
        Ok(None) => report.ok(
            "proxy-body-size",
            format!("nothing before the server refuses a request of {shown}"),
        ),
        Err(error) => report.warn(
            "proxy-body-size",
            format!("a request of {shown} was cut off: {error}"),
            "look at the limits of what stands before the server",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    fn seen(client: &str, forwarded_for: Option<&str>) -> Seen {
        Seen {
            proof: String::new(),
            version: String::new(),
            client: client.to_owned(),
            host: Some("errors.example".to_owned()),
            forwarded_for: forwarded_for.map(str::to_owned),
            body_bytes_max: 1,
        }
    }

    #[test]
    fn a_proxy_that_is_not_believed_is_told_from_one_that_is() {
        for (client, list, verdict) in [
            ("192.0.2.1", None, Verdict::Ok),
            ("192.0.2.1", Some("192.0.2.1"), Verdict::Ok),
            ("192.0.2.1", Some("10.0.0.1, 192.0.2.1:4711"), Verdict::Ok),
            ("127.0.0.1", Some("192.0.2.1"), Verdict::Warning),
            ("127.0.0.1", Some("unknown"), Verdict::Warning),
        ] {
            let mut report = Report::default();
            forwarded(&mut report, &seen(client, list));
            assert_eq!(report.0[0].verdict, verdict, "{client} {list:?}");
        }
    }

    #[test]
    fn a_host_that_a_proxy_changes_is_told() {
        let prefix = UrlPrefix::parse("https://Errors.example").unwrap();
        let mut report = Report::default();
        host(&mut report, &prefix, &seen("192.0.2.1", None));
        let prefix = UrlPrefix::parse("https://other.example:8443").unwrap();
        host(&mut report, &prefix, &seen("192.0.2.1", None));
        assert_eq!(report.0[0].verdict, Verdict::Ok);
        assert_eq!(
            report.0[1].text,
            "clients name the host other.example:8443, and the server hears errors.example"
        );
    }
}
