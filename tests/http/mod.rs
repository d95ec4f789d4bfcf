//! The transport, with services that do next to nothing behind it.

mod framing;
mod hostile;
mod lanes;
mod limits;
mod long_answers;
mod proxies;
mod serving;
mod tls;
mod watching;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use picket::Clock;
use picket::http::{
    Body, Class, Front, LaneSet, Listeners, Method, Refusal, Request, Responder, Response, Server,
    Service, Settings,
};
use rustls::ClientConnection;

/// A service whose paths are the things that a handler can do.
pub(crate) struct Toy;

impl Service for Toy {
    fn call(&self, request: Request, responder: Responder) {
        let number = |name: &str| -> u64 {
            let value = request.query_value(name);
            value.and_then(|text| text.parse().ok()).unwrap_or(0)
        };
        match request.path.as_str() {
            "/panic" => panic!("as asked"),
            "/forget" => drop(responder),
            "/close" => responder.close(),
            "/later" | "/ingest/later" => {
                let pause = Duration::from_millis(number("ms"));
                thread::spawn(move || {
                    thread::sleep(pause);
                    responder.respond(Response::text(200, "later"));
                });
            }
            "/large" => {
                let bytes = usize::try_from(number("bytes")).expect("a size");
                responder.respond(Response::text(200, "x".repeat(bytes)));
            }
            "/pieces" => responder.respond(in_pieces(number("bytes"))),
            "/status" => {
                let status = u16::try_from(number("code")).expect("a status");
                responder.respond(Response::empty(status));
            }
            "/echo" | "/ingest/echo" => responder.respond(echo(request)),
            _ => responder.respond(Response::text(200, "ok")),
        }
    }
}

/// A body of so many bytes, made a piece at a time; those of [`pattern`].
fn in_pieces(bytes: u64) -> Response {
    const PIECE_BYTES: u64 = 1 << 20;
    Response::in_pieces(200, bytes, move |number| {
        let start = number * PIECE_BYTES;
        let end = bytes.min(start + PIECE_BYTES);
        Ok((start < end).then(|| (start..end).map(pattern).collect()))
    })
}

/// The byte at a place of a long body.
pub(crate) fn pattern(place: u64) -> u8 {
    (place % 251) as u8
}

/// Tells the request back: line, fields, an empty line, where the body was, the body.
fn echo(request: Request) -> Response {
    let mut text = format!(
        "{} {} ?{} peer {} id {}\n",
        request.method.as_str(),
        request.path,
        request.query,
        request.peer,
        request.id
    );
    for (name, value) in request.headers.iter() {
        text.push_str(&format!("{name}: {value}\n"));
    }
    text.push_str(match request.body {
        Body::Memory(_) => "\nmemory\n",
        Body::File { .. } => "\nfile\n",
    });
    let mut bytes = text.into_bytes();
    bytes.extend(request.body.into_vec().expect("the spooled body"));
    Response::bytes(200, "text/plain", bytes)
}

pub(crate) const BODY_BYTES_MAX: u64 = 8 * 1024 * 1024;

pub(crate) fn classify(_: &Method, path: &str) -> Class {
    Class {
        lanes: match path.starts_with("/ingest/") {
            true => LaneSet::Ingest,
            false => LaneSet::General,
        },
        front: match path.starts_with("/ingest/") {
            true => Front::Ingest,
            false => Front::Web,
        },
        body_bytes_max: BODY_BYTES_MAX,
        spools: true,
        refuse: match path.starts_with("/ingest/") {
            true => refuse_as_ingest,
            false => refuse_as_general,
        },
    }
}

fn refuse_as_general(refusal: &Refusal) -> Response {
    Response::text(refusal.status(), refusal.text())
}

fn refuse_as_ingest(refusal: &Refusal) -> Response {
    Response::json_bytes(refusal.status(), b"{\"detail\":\"refused\"}".as_slice())
        .with_header("Access-Control-Allow-Origin", "*")
}

pub(crate) fn settings() -> Settings {
    Settings {
        spool_dir: PathBuf::from(env!("CARGO_TARGET_TMPDIR")),
        ..Settings::default()
    }
}

pub(crate) fn start(settings: Settings) -> Server {
    start_on(TcpListener::bind("127.0.0.1:0").expect("a port"), settings)
}

pub(crate) fn start_on(listeners: impl Into<Listeners>, settings: Settings) -> Server {
    let toy = Arc::new(Toy);
    Server::start(
        listeners,
        settings,
        Clock::system(),
        Arc::new(classify),
        toy.clone(),
        toy,
    )
    .expect("a server")
}

/// A client that sees bytes.
pub(crate) struct Client {
    stream: TcpStream,
    tls: Option<ClientConnection>,
    read: Vec<u8>,
}

/// An answer as it came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .split("\r\n")
            .skip(1)
            .filter_map(|line| line.split_once(": "))
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).expect("a connection");
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .expect("a time-out");
        stream
            .set_write_timeout(Some(Duration::from_secs(30)))
            .expect("a time-out");
        Client {
            stream,
            tls: None,
            read: Vec::new(),
        }
    }

    /// Speaks TLS from here on.
    pub(crate) fn encrypt(&mut self, tls: ClientConnection) {
        self.tls = Some(tls);
    }

    /// Sends what the server may already have stopped reading.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = match &mut self.tls {
            Some(tls) => rustls::Stream::new(tls, &mut self.stream).write_all(bytes.as_ref()),
            None => self.stream.write_all(bytes.as_ref()),
        };
    }

    pub(crate) fn get(&mut self, target: &str) -> Answer {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
        self.answer()
    }

    fn fill(&mut self) -> bool {
        let mut bytes = [0; 64 * 1024];
        let read = match &mut self.tls {
            Some(tls) => rustls::Stream::new(tls, &mut self.stream).read(&mut bytes),
            None => self.stream.read(&mut bytes),
        };
        match read {
            Ok(0) => false,
            Ok(count) => {
                self.read.extend_from_slice(&bytes[..count]);
                true
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("no answer: {error}"),
        }
    }

    /// The next head, up to and without its empty line; None if the server closed.
    pub(crate) fn head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.read.windows(4).position(|w| w == b"\r\n\r\n") {
                let head = self.read.drain(..end + 4).take(end).collect();
                return Some(String::from_utf8(head).expect("text"));
            }
            if !self.fill() {
                assert!(self.read.is_empty(), "half a head: {:?}", self.read);
                return None;
            }
        }
    }

    pub(crate) fn try_answer(&mut self) -> Option<Answer> {
        let head = self.head()?;
        let mut answer = Answer {
            status: head[9..12].parse().expect("a status"),
            head,
            body: Vec::new(),
        };
        let length = answer
            .header("Content-Length")
            .map_or(0, |length| length.parse().expect("a length"));
        while self.read.len() < length {
            assert!(self.fill(), "half a body");
        }
        answer.body = self.read.drain(..length).collect();
        Some(answer)
    }

    pub(crate) fn answer(&mut self) -> Answer {
        self.try_answer().expect("an answer, not the end")
    }

    /// Sends no more, but still reads.
    pub(crate) fn finish(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            let _ = rustls::Stream::new(tls, &mut self.stream).flush();
        }
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Reads on to where another head may start: for answers whose length depends on a request that cannot be told.
    pub(crate) fn forget_body(&mut self) {
        let marker = b"HTTP/1.1 ";
        loop {
            let next = self.read.windows(marker.len()).position(|w| w == marker);
            if let Some(at) = next {
                self.read.drain(..at);
                return;
            }
            if !self.fill() {
                self.read.clear();
                return;
            }
        }
    }

    /// Whether the server closed, with nothing more to say.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.read.is_empty() && !self.fill()
    }
}

/// Sends `bytes` over a connection of their own and gives the first answer.
pub(crate) fn ask(server: &Server, bytes: impl AsRef<[u8]>) -> Answer {
    let mut client = Client::connect(server.local_addr());
    client.send(bytes);
    client.answer()
}

/// Waits for what must come soon.
pub(crate) fn until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain");
        thread::sleep(Duration::from_millis(2));
    }
}
