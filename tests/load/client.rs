//! The client: threads with a keep-alive connection each, sending one request after the other.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// What one round of one variant gave.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    /// From the first request to the last answer.
    pub(crate) elapsed: Duration,
    /// One per answered request, sorted.
    pub(crate) latencies: Vec<Duration>,
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
}

/// A number of clients that send envelopes of about the same size.
pub(crate) struct Load {
    address: SocketAddr,
    body_bytes: usize,
    connections: usize,
}

impl Load {
    pub(crate) fn new(address: SocketAddr, body_bytes: usize, connections: usize) -> Load {
        Load {
            address,
            body_bytes,
            connections,
        }
    }

    /// Sends for the given time.
    pub(crate) fn run(&self, time: Duration) -> Measured {
        let start = Instant::now();
        let mut latencies: Vec<Duration> = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..self.connections)
                .map(|_| scope.spawn(|| self.client(start + time)))
                .collect();
            clients
                .into_iter()
                .flat_map(|client| client.join().expect("a client ends in order"))
                .collect()
        });
        let elapsed = start.elapsed();
        latencies.sort_unstable();
        Measured {
            elapsed,
            latencies,
            cpu: Duration::ZERO,
        }
    }

    fn client(&self, until: Instant) -> Vec<Duration> {
        let mut stream = TcpStream::connect(self.address).expect("the server listens");
        stream.set_nodelay(true).expect("a fresh socket");
        let mut request = EnvelopeRequest::new(self.body_bytes);
        let mut latencies = Vec::new();
        let mut answer = Vec::new();
        while Instant::now() < until {
            let bytes = request.next();
            let sent = Instant::now();
            stream.write_all(bytes).expect("the server reads");
            let status = read_answer(&mut stream, &mut answer);
            latencies.push(sent.elapsed());
            assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
        }
        latencies
    }
}

/// One request over and over, each time with another event id.
struct EnvelopeRequest {
    bytes: Vec<u8>,
    ids_at: Vec<usize>,
}

impl EnvelopeRequest {
    /// An envelope of about `body_bytes` with one event as an SDK sends it: the larger, the more frames.
    fn new(body_bytes: usize) -> EnvelopeRequest {
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
            "POST /api/1/envelope/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-sentry-envelope\r\n\
             X-Sentry-Auth: Sentry sentry_version=7, sentry_client=load/1.0, sentry_key={}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            super::servers::PUBLIC_KEY,
            body.len()
        );
        EnvelopeRequest {
            ids_at: request.match_indices(ID).map(|(at, _)| at).collect(),
            bytes: request.into_bytes(),
        }
    }

    fn next(&mut self) -> &[u8] {
        let id = format!("{:032x}", rand::random::<u128>());
        for at in &self.ids_at {
            self.bytes[*at..*at + 32].copy_from_slice(id.as_bytes());
        }
        &self.bytes
    }
}

/// Reads one answer whole into `answer`; its status.
pub(crate) fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) -> u16 {
    answer.clear();
    let mut chunk = [0u8; 16 << 10];
    loop {
        let read = stream.read(&mut chunk).expect("the server answers");
        assert_ne!(read, 0, "the server closed the connection");
        answer.extend_from_slice(&chunk[..read]);
        let Some(head) = answer.windows(4).position(|w| w == b"\r\n\r\n") else {
            continue;
        };
        let text = std::str::from_utf8(&answer[..head]).expect("a head is ASCII");
        let length: usize = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.trim().parse().ok())
            .unwrap_or(0);
        if answer.len() >= head + 4 + length {
            return text[9..12].parse().expect("a status");
        }
    }
}
