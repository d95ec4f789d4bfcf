//! The client: threads with a connection each, sending one request after the other. It keeps its connection as long as
//! the server does, and takes from it what a client has to take: refusals, broken connections, silence.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A server that says nothing for so long has failed.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a client waits after a failure, so that it does not spin while nobody listens.
const PAUSE: Duration = Duration::from_millis(10);

/// What one round of one variant gave.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    /// From the first request to the last answer.
    pub(crate) elapsed: Duration,
    /// One per acknowledged request, sorted. Where the server closes its connections, with the time to connect.
    pub(crate) latencies: Vec<Duration>,
    /// The ids of the acknowledged events, in no order.
    pub(crate) acknowledged: Vec<u128>,
    /// Answers that were no 2xx, by their status.
    pub(crate) refused: BTreeMap<u16, usize>,
    /// Requests without an answer.
    pub(crate) failed: usize,
    /// The server's CPU time, user and system.
    pub(crate) cpu: Duration,
}

impl Measured {
    pub(crate) fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    pub(crate) fn quantile(&self, q: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        let at = (last as f64 * q).round() as usize;
        self.latencies.get(at).copied().unwrap_or_default()
    }

    pub(crate) fn cpu_per_request(&self) -> Duration {
        self.cpu / u32::try_from(self.latencies.len().max(1)).unwrap_or(u32::MAX)
    }

    fn add(&mut self, other: Measured) {
        self.latencies.extend(other.latencies);
        self.acknowledged.extend(other.acknowledged);
        for (status, count) in other.refused {
            *self.refused.entry(status).or_default() += count;
        }
        self.failed += other.failed;
    }
}

/// Where a project's envelopes go.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) project: u64,
    pub(crate) public_key: String,
}

impl Target {
    /// From a DSN such as `http://KEY@127.0.0.1:9000/1`, whose host is an address with a port.
    pub(crate) fn parse(dsn: &str) -> Option<Target> {
        let (public_key, rest) = dsn.strip_prefix("http://")?.split_once('@')?;
        let (address, project) = rest.split_once('/')?;
        Some(Target {
            address: address.parse().ok()?,
            project: project.parse().ok()?,
            public_key: public_key.to_owned(),
        })
    }
}

/// A number of clients that send envelopes of about the same size.
pub(crate) struct Load {
    target: Target,
    body_bytes: usize,
    connections: usize,
}

impl Load {
    pub(crate) fn new(target: Target, body_bytes: usize, connections: usize) -> Load {
        Load {
            target,
            body_bytes,
            connections,
        }
    }

    /// Sends for the given time.
    pub(crate) fn run(&self, time: Duration) -> Measured {
        let start = Instant::now();
        let mut measured = Measured::default();
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..self.connections)
                .map(|_| scope.spawn(|| self.client(start + time)))
                .collect();
            for client in clients {
                measured.add(client.join().expect("a client ends in order"));
            }
        });
        measured.elapsed = start.elapsed();
        measured.latencies.sort_unstable();
        measured
    }

    fn client(&self, until: Instant) -> Measured {
        let mut connection = None;
        let mut request = EnvelopeRequest::new(&self.target, self.body_bytes);
        let mut measured = Measured::default();
        let mut answer = Vec::new();
        while Instant::now() < until {
            let (id, bytes) = request.next();
            let sent = Instant::now();
            match self.send(&mut connection, bytes, &mut answer) {
                Ok(200..=299) => {
                    measured.latencies.push(sent.elapsed());
                    measured.acknowledged.push(id);
                }
                Ok(status) => *measured.refused.entry(status).or_default() += 1,
                Err(_) => {
                    measured.failed += 1;
                    connection = None;
                    std::thread::sleep(PAUSE);
                }
            }
        }
        measured
    }

    /// Sends a request over the connection, or a new one; the status of the answer.
    fn send(
        &self,
        connection: &mut Option<TcpStream>,
        request: &[u8],
        answer: &mut Vec<u8>,
    ) -> io::Result<u16> {
        let mut stream = match connection.take() {
            Some(stream) => stream,
            None => self.connect()?,
        };
        stream.write_all(request)?;
        let head = read_answer(&mut stream, answer)?;
        if !head.closes {
            *connection = Some(stream);
        }
        Ok(head.status)
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.target.address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }
}

/// One request over and over, each time with another event id.
struct EnvelopeRequest {
    bytes: Vec<u8>,
    ids_at: Vec<usize>,
}

impl EnvelopeRequest {
    /// An envelope of about `body_bytes` with one event as an SDK sends it: the larger, the more frames.
    fn new(target: &Target, body_bytes: usize) -> EnvelopeRequest {
        const ID: &str = "00000000000000000000000000000000";
        let now = jiff::Timestamp::now();
        let head = format!(
            "{{\"event_id\":\"{ID}\",\"sent_at\":\"{now}\"}}\n{{\"type\":\"event\"}}\n\
             {{\"event_id\":\"{ID}\",\"timestamp\":\"{now}\",\"platform\":\"python\",\"level\":\"error\",\
             \"release\":\"shop@1.4.2\",\"environment\":\"production\",\"server_name\":\"web-3\",\
             \"tags\":{{\"region\":\"eu\",\"cart\":\"full\"}},\"user\":{{\"id\":\"4711\",\"ip_address\":\"{{{{auto}}}}\"}},\
             \"request\":{{\"url\":\"https://shop.example.test/cart\",\"method\":\"POST\",\
             \"headers\":{{\"user-agent\":\"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\"}}}},\
             \"exception\":{{\"values\":[{{\"type\":\"ValueError\",\"value\":\"no such thing\",\"stacktrace\":{{\"frames\":["
        );
        let tail = "]}}]}}\n";
        let mut body = head;
        let mut separator = "";
        loop {
            let number: u16 = rand::random();
            let frame = format!(
                "{separator}{{\"filename\":\"shop/part_{number:x}.py\",\"function\":\"step_{number:x}\",\
                 \"module\":\"shop.part_{number:x}\",\"lineno\":{number},\"in_app\":true,\
                 \"context_line\":\"    return total[{number}] + shipping({number:x})\"}}"
            );
            if body.len() + frame.len() + tail.len() > body_bytes && !separator.is_empty() {
                break;
            }
            body.push_str(&frame);
            separator = ",";
        }
        body.push_str(tail);
        let request = format!(
            "POST /api/{}/envelope/ HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-sentry-envelope\r\n\
             X-Sentry-Auth: Sentry sentry_version=7, sentry_client=load/1.0, sentry_key={}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            target.project,
            target.address,
            target.public_key,
            body.len()
        );
        EnvelopeRequest {
            ids_at: request.match_indices(ID).map(|(at, _)| at).collect(),
            bytes: request.into_bytes(),
        }
    }

    /// The next event's id, and its request.
    fn next(&mut self) -> (u128, &[u8]) {
        let id: u128 = rand::random();
        let text = format!("{id:032x}");
        for at in &self.ids_at {
            self.bytes[*at..*at + 32].copy_from_slice(text.as_bytes());
        }
        (id, &self.bytes)
    }
}

/// What the head of an answer says.
pub(crate) struct Head {
    pub(crate) status: u16,
    /// Whether the server closes the connection after it.
    closes: bool,
    /// Of the body; `None` if it ends with the connection.
    length: Option<usize>,
}

impl Head {
    fn parse(text: &str) -> Option<Head> {
        let header = |wanted: &str| {
            text.lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
                .map(|(_, value)| value.trim())
        };
        let closes = header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let length = match header("content-length") {
            Some(value) => Some(value.parse().ok()?),
            None => (!closes).then_some(0),
        };
        Some(Head {
            status: text.get(9..12)?.parse().ok()?,
            closes,
            length,
        })
    }
}

/// Reads one answer whole into `answer`.
pub(crate) fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) -> io::Result<Head> {
    answer.clear();
    let mut chunk = [0u8; 16 << 10];
    loop {
        let read = stream.read(&mut chunk)?;
        answer.extend_from_slice(&chunk[..read]);
        let Some(end) = answer.windows(4).position(|w| w == b"\r\n\r\n") else {
            if read == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            continue;
        };
        let head = std::str::from_utf8(&answer[..end])
            .ok()
            .and_then(Head::parse)
            .ok_or(ErrorKind::InvalidData)?;
        match head.length {
            Some(length) if answer.len() >= end + 4 + length => return Ok(head),
            None if read == 0 => return Ok(head),
            _ if read == 0 => return Err(ErrorKind::UnexpectedEof.into()),
            _ => {}
        }
    }
}
