//! A client that does nothing wrong, beside those that do.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustls::StreamOwned;
use rustls::version::TLS13;

use super::connect_from;
use crate::support::{KEY, tls};

/// An address of its own.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 100);

/// How long an event may take with all tries, whatever happens beside it.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long events took.
#[derive(Default)]
struct Taken {
    quiet: Vec<Duration>,
    attacked: Vec<Duration>,
}

/// What the good client sees. It sends one event after the other over a connection that it keeps, and tries an event
/// again that was not acknowledged, as SDKs do.
#[derive(Default)]
pub(super) struct GoodClient {
    over: AtomicBool,
    attacked: AtomicBool,
    taken: Mutex<Taken>,
    acknowledged: Mutex<Vec<String>>,
    tried_again: Mutex<Vec<String>>,
}

trait Connection: Read + Write {}
impl<T: Read + Write> Connection for T {}

impl GoodClient {
    /// Sends events until it is over.
    pub(super) fn send_events(&self, address: SocketAddr, with_tls: bool) {
        let mut connection = None;
        while !self.over.load(Ordering::Relaxed) {
            let id = format!("{:032x}", rand::random::<u128>());
            let attacked = self.attacked.load(Ordering::Relaxed);
            let started = Instant::now();
            while let Err(error) = send_event(&mut connection, address, with_tls, &id) {
                connection = None;
                self.tried_again.lock().unwrap().push(error.to_string());
                assert!(
                    started.elapsed() < PATIENCE,
                    "an event never arrived: {error}"
                );
                thread::sleep(Duration::from_millis(5));
            }
            let mut taken = self.taken.lock().unwrap();
            match attacked {
                true => taken.attacked.push(started.elapsed()),
                false => taken.quiet.push(started.elapsed()),
            }
            drop(taken);
            self.acknowledged.lock().unwrap().push(id);
            thread::sleep(Duration::from_millis(2));
        }
    }

    pub(super) fn stop(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Whether what is measured from here on counts as measured under attack.
    pub(super) fn set_attacked(&self, attacked: bool) {
        self.attacked.store(attacked, Ordering::Relaxed);
    }

    /// The ids of all events that were acknowledged.
    pub(super) fn acknowledged(&self) -> Vec<String> {
        self.acknowledged.lock().unwrap().clone()
    }

    /// The ratio of the two 99th percentiles, after telling about it.
    pub(super) fn ratio(&self, name: &str) -> f64 {
        let mut taken = self.taken.lock().unwrap();
        let counts = (taken.quiet.len(), taken.attacked.len());
        assert!(
            counts.0 >= 20 && counts.1 >= 20,
            "{name}: only {counts:?} events were sent"
        );
        let (quiet, attacked) = (p99(&mut taken.quiet), p99(&mut taken.attacked));
        let ratio = attacked.as_secs_f64() / quiet.as_secs_f64();
        let tried_again = self.tried_again.lock().unwrap();
        println!(
            "{name}: p99 of a good client {attacked:.1?} ({} events), in quiet {quiet:.1?} ({}), ratio {ratio:.1}; \
             tried again {} times",
            counts.1,
            counts.0,
            tried_again.len()
        );
        ratio
    }
}

fn p99(taken: &mut [Duration]) -> Duration {
    taken.sort();
    taken[(taken.len() - 1) * 99 / 100]
}

/// Sends one event and sees it acknowledged.
fn send_event(
    connection: &mut Option<Box<dyn Connection>>,
    address: SocketAddr,
    with_tls: bool,
    id: &str,
) -> io::Result<()> {
    let connection = match connection {
        Some(connection) => connection,
        None => {
            let stream = connect_from(ADDRESS, address)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_nodelay(true)?;
            connection.insert(match with_tls {
                true => Box::new(StreamOwned::new(tls::client(&[&TLS13]), stream)),
                false => Box::new(stream),
            })
        }
    };
    let body =
        format!(r#"{{"event_id":"{id}","message":"good","level":"error","tags":{{"a":"b"}}}}"#);
    let request = format!(
        "POST /api/31/store/ HTTP/1.1\r\nHost: picket.test\r\nX-Sentry-Auth: Sentry sentry_key={KEY}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    connection.write_all(request.as_bytes())?;
    connection.flush()?;
    let mut answer = Vec::new();
    let mut bytes = [0; 4096];
    // The answer to a store request ends in its one closing brace.
    while !answer.ends_with(b"}") {
        match connection.read(&mut bytes)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => answer.extend_from_slice(&bytes[..count]),
        }
    }
    match answer.starts_with(b"HTTP/1.1 200 ") {
        true => Ok(()),
        false => Err(io::Error::other(
            String::from_utf8_lossy(&answer).into_owned(),
        )),
    }
}
