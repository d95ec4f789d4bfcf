//! Where mail is handed over, and in whose name.

use std::fmt;

use percent_encoding::percent_decode_str;

use super::email;

/// How mail is sent: the server that takes it, and what stands in `From`.
#[derive(Clone, Debug)]
pub struct MailSettings {
    pub(crate) server: SmtpServer,
    /// `address`, or `Name <address>`.
    pub(crate) from: String,
}

impl MailSettings {
    /// `password` takes the place of one in the URL.
    ///
    /// # Errors
    /// One plain sentence, without the URL, which may hold a password.
    pub fn new(url: &str, password: Option<String>, from: &str) -> Result<MailSettings, String> {
        let mut server = SmtpServer::parse(url)?;
        server.set_password(password)?;
        Ok(MailSettings {
            server,
            from: check_sender(from)?,
        })
    }
}

/// A server that takes mail.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SmtpServer {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) encryption: Encryption,
    /// Name and password.
    pub(crate) credentials: Option<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encryption {
    /// TLS from the start.
    Tls,
    /// The server is asked to switch to TLS before anything else; one that cannot is told nothing.
    StartTls,
    /// For a server on this machine or in a network that is trusted.
    None,
}

/// Without name and password, because settings are shown in messages.
impl fmt::Debug for SmtpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl SmtpServer {
    /// `smtps://[USER[:PASSWORD]@]HOST[:PORT]`, or `smtp://` for STARTTLS, or that with `?tls=none` for neither. User
    /// and password are percent-encoded.
    ///
    /// # Errors
    /// One plain sentence, without the URL.
    pub(crate) fn parse(text: &str) -> Result<SmtpServer, String> {
        let (rest, tls) = match (text.strip_prefix("smtps://"), text.strip_prefix("smtp://")) {
            (Some(rest), _) => (rest, true),
            (_, Some(rest)) => (rest, false),
            _ => return Err("this must start with smtp:// or smtps://".to_owned()),
        };
        let (rest, encryption) = match (rest.split_once('?'), tls) {
            (None, true) => (rest, Encryption::Tls),
            (None, false) => (rest, Encryption::StartTls),
            (Some((rest, "tls=none")), false) => (rest, Encryption::None),
            (Some(_), _) => {
                return Err("after a ? only tls=none may follow, and only after smtp://".to_owned());
            }
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (credentials, authority) = match rest.rsplit_once('@') {
            Some((credentials, authority)) => (Some(credentials), authority),
            None => (None, rest),
        };
        let (host, port) = host_and_port(authority)?;
        Ok(SmtpServer {
            host,
            port: port.unwrap_or(match encryption {
                Encryption::Tls => 465,
                Encryption::StartTls => 587,
                Encryption::None => 25,
            }),
            encryption,
            credentials: credentials.map(name_and_password).transpose()?,
        })
    }

    fn set_password(&mut self, password: Option<String>) -> Result<(), String> {
        match (&mut self.credentials, password) {
            (_, None) => {}
            (Some((_, stored)), Some(password)) => *stored = password,
            (None, Some(_)) => {
                return Err("a password needs a user in the URL: smtp://USER@HOST".to_owned());
            }
        }
        match &self.credentials {
            Some((_, password)) if password.is_empty() => {
                Err("there is a user and no password".to_owned())
            }
            _ => Ok(()),
        }
    }
}

fn host_and_port(authority: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match authority.rsplit_once(':') {
        // An IPv6 address without a port ends in a bracket.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let host = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || !host.chars().all(plain) {
        return Err("there is no valid host".to_owned());
    }
    let port = port
        .map(|port| port.parse().ok().filter(|port| *port > 0))
        .map(|port| port.ok_or_else(|| "the port is no number from 1 to 65535".to_owned()))
        .transpose()?;
    Ok((host.to_owned(), port))
}

fn name_and_password(text: &str) -> Result<(String, String), String> {
    let decode = |part: &str| {
        percent_decode_str(part)
            .decode_utf8()
            .map(std::borrow::Cow::into_owned)
            .map_err(|_| "user or password is not UTF-8".to_owned())
    };
    let (name, password) = text.split_once(':').unwrap_or((text, ""));
    if name.is_empty() {
        return Err("there is no user before the @".to_owned());
    }
    Ok((decode(name)?, decode(password)?))
}

/// # Errors
/// One plain sentence.
pub(crate) fn check_sender(text: &str) -> Result<String, String> {
    let address = match text.split_once('<') {
        Some((_, rest)) => rest.strip_suffix('>').unwrap_or_default(),
        None => text,
    };
    if !email::is_plausible(address.trim()) || text.chars().any(char::is_control) {
        return Err(format!(
            "{text:?} is no address to send from, such as Picket <picket@example.test>"
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_and_how_mail_is_handed_over() {
        let parse = |text| SmtpServer::parse(text).unwrap();
        let server = |host: &str, port, encryption| SmtpServer {
            host: host.to_owned(),
            port,
            encryption,
            credentials: None,
        };
        for (text, expected) in [
            (
                "smtp://mail.test",
                server("mail.test", 587, Encryption::StartTls),
            ),
            (
                "smtps://mail.test/",
                server("mail.test", 465, Encryption::Tls),
            ),
            (
                "smtp://localhost:2525?tls=none",
                server("localhost", 2525, Encryption::None),
            ),
            ("smtp://[::1]?tls=none", server("::1", 25, Encryption::None)),
            ("smtp://[::1]:26", server("::1", 26, Encryption::StartTls)),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
        let with = parse("smtps://ann%40mail.test:p%3Aq@mail.test");
        let expected = ("ann@mail.test".to_owned(), "p:q".to_owned());
        assert_eq!(with.credentials, Some(expected));
        assert_eq!(format!("{with:?}"), "mail.test:465");
    }

    #[test]
    fn what_is_wrong_is_said_without_the_secret() {
        for (url, password, from, expected) in [
            ("http://h", None, "a@b", "must start with"),
            ("smtp://", None, "a@b", "no valid host"),
            ("smtp://h:0", None, "a@b", "the port"),
            ("smtp://h:x", None, "a@b", "the port"),
            ("smtp://a b", None, "a@b", "no valid host"),
            ("smtp://h?tls=off", None, "a@b", "tls=none"),
            ("smtps://h?tls=none", None, "a@b", "tls=none"),
            ("smtp://:hush@h", None, "a@b", "no user"),
            ("smtp://u@h", None, "a@b", "no password"),
            ("smtp://h", Some("hush"), "a@b", "needs a user"),
            ("smtp://h", None, "ann", "no address"),
            ("smtp://h", None, "Ann <ann>", "no address"),
            ("smtp://h", None, "Ann\n <a@b>", "no address"),
        ] {
            let password = password.map(str::to_owned);
            let error = MailSettings::new(url, password, from).unwrap_err();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("hush"), "{error}");
        }
        let given = MailSettings::new("smtp://u:x@h", Some("y".to_owned()), "Ann <a@b>").unwrap();
        let expected = ("u".to_owned(), "y".to_owned());
        assert_eq!(given.server.credentials, Some(expected));
    }
}
