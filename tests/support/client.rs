//! A small blocking HTTP client that shows answers as they came, and holds those of the management API against its
//! published document.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::contract;

/// Sends requests, each over a connection of its own.
#[derive(Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    headers: Vec<(String, String)>,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Client {
        Client {
            address,
            headers: Vec::new(),
        }
    }

    /// A client that sends this field with every request.
    pub(crate) fn with_header(mut self, name: &str, value: &str) -> Client {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn get(&self, target: &str) -> Answer {
        self.send("GET", target, None)
    }

    pub(crate) fn delete(&self, target: &str) -> Answer {
        self.send("DELETE", target, None)
    }

    pub(crate) fn post(&self, target: &str, body: &[u8]) -> Answer {
        self.send("POST", target, Some(body))
    }

    /// `POST` of a JSON body.
    pub(crate) fn post_json(&self, target: &str, body: &Value) -> Answer {
        self.json().post(target, body.to_string().as_bytes())
    }

    /// `PUT` of a JSON body.
    pub(crate) fn put_json(&self, target: &str, body: &Value) -> Answer {
        self.json()
            .send("PUT", target, Some(body.to_string().as_bytes()))
    }

    fn json(&self) -> Client {
        self.clone().with_header("Content-Type", "application/json")
    }

    /// Sends one request, with a `Content-Length` if there is a body, and reads its answer.
    pub(crate) fn send(&self, method: &str, target: &str, body: Option<&[u8]>) -> Answer {
        self.send_raw(&self.request(method, target, body))
    }

    /// As [`Client::send`]; none if the server is gone before its answer is whole.
    pub(crate) fn try_send(
        &self,
        method: &str,
        target: &str,
        body: Option<&[u8]>,
    ) -> Option<Answer> {
        let bytes = self.exchange(&self.request(method, target, body)).ok()?;
        let is_whole = bytes.windows(4).any(|window| window == b"\r\n\r\n");
        is_whole.then(|| Answer::parse(&bytes))
    }

    fn request(&self, method: &str, target: &str, body: Option<&[u8]>) -> Vec<u8> {
        let mut request =
            format!("{method} {target} HTTP/1.1\r\nHost: picket.test\r\nConnection: close\r\n");
        for (name, value) in &self.headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = body {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        let mut bytes = request.into_bytes();
        bytes.extend_from_slice(body.unwrap_or_default());
        bytes
    }

    /// Sends bytes as they are and reads one answer, to the end of the connection. The request should ask for
    /// `Connection: close`.
    pub(crate) fn send_raw(&self, bytes: &[u8]) -> Answer {
        let answer = Answer::parse(&self.exchange(bytes).expect("an answer"));
        contract::hold(bytes, &answer);
        answer
    }

    /// As [`Client::get`], without a look at the published document.
    pub(super) fn get_unchecked(&self, target: &str) -> Answer {
        let request = self.request("GET", target, None);
        Answer::parse(&self.exchange(&request).expect("an answer"))
    }

    fn exchange(&self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        // A server that refuses early may stop reading; its answer is what counts.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    }
}

impl Answer {
    fn parse(bytes: &[u8]) -> Answer {
        let head_bytes = bytes
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .unwrap_or_else(|| panic!("no whole head: {:?}", String::from_utf8_lossy(bytes)));
        let head = std::str::from_utf8(&bytes[..head_bytes]).expect("a head is text");
        let mut lines = head.split("\r\n");
        let status_line = lines.next().unwrap_or_default();
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Answer {
            status: status_line[9..12].parse().expect("a status"),
            headers,
            body: bytes[head_bytes + 4..].to_vec(),
        }
    }

    /// The first value of a field, looked up without case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body of text")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?}", String::from_utf8_lossy(&self.body)))
    }
}
