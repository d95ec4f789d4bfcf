//! Sends mail, behind everybody's back: whoever has something to say hands it over and goes on.
//!
//! One thread. What is handed over is a job that makes the letter, so that looking up whom it is for takes the time of
//! this thread too, and nobody learns from an answer's time whether there was anybody. A server that cannot take a
//! letter now is tried again a few times; one that does not want it is not. Neither addresses nor what a server says
//! about them are logged. What waits is bounded, and is lost when the process ends: everything that is mailed can be
//! asked for again.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{Message, SmtpTransport, Transport};

use crate::domain::mail::{Encryption, MailSettings};
use crate::domain::measure::Counter;

/// How many letters wait to be made, and as many to be tried again.
const WAITING_MAX: usize = 256;

/// For each step of a conversation with the server.
const TIME_OUT: Duration = Duration::from_secs(10);

/// How long to wait before a letter is tried again; then it is given up.
const PAUSES: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(30),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
];

/// How long a letter waits before it is made, so that the answer to whoever had it sent is gone by then: making one beside
/// it took a quarter of a millisecond of the answer's time.
const HEAD_START: Duration = Duration::from_millis(100);

/// How long an end waits for the letter that is being sent.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// Something to be sent to somebody, in plain text.
pub(crate) struct Letter {
    pub(crate) to: String,
    pub(crate) subject: String,
    pub(crate) text: String,
}

struct Job {
    make: Box<dyn FnOnce() -> Option<Letter> + Send>,
    due: Instant,
}

/// The running thread; or nothing, where no server for mail is set.
pub(crate) struct Mailer {
    running: Mutex<Option<Running>>,
    tally: Arc<Tally>,
}

#[derive(Default)]
struct Tally {
    /// To be made, or to be tried again.
    waiting: AtomicU64,
    sent: Counter,
    failed: Counter,
    given_up: Counter,
}

/// One moment; counts run from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MailMeasures {
    pub(crate) waiting: u64,
    pub(crate) sent: u64,
    /// Tries that failed.
    pub(crate) failed: u64,
    /// Letters that will not be sent: refused for good, tried too often, or too many at once.
    pub(crate) given_up: u64,
}

struct Running {
    jobs: SyncSender<Job>,
    /// Closed when the thread has ended.
    ended: Receiver<()>,
}

impl Mailer {
    /// # Errors
    /// One sentence: the sender's address is none, or the machine has no certificates to check a server's with.
    pub(crate) fn start(settings: Option<&MailSettings>) -> Result<Mailer, String> {
        let tally = Arc::new(Tally::default());
        let Some(settings) = settings else {
            return Ok(Mailer {
                running: Mutex::new(None),
                tally,
            });
        };
        let post = Post::new(settings)?;
        let (jobs, waiting) = mpsc::sync_channel(WAITING_MAX);
        let (alive, ended) = mpsc::channel::<()>();
        let counts = Arc::clone(&tally);
        std::thread::Builder::new()
            .name("mail".to_owned())
            .spawn(move || {
                run(&waiting, &post, &counts);
                drop(alive);
            })
            .map_err(|error| format!("the thread for mail cannot start: {error}"))?;
        Ok(Mailer {
            running: Mutex::new(Some(Running { jobs, ended })),
            tally,
        })
    }

    /// Whether letters are sent at all.
    pub(crate) fn is_on(&self) -> bool {
        self.lock().is_some()
    }

    /// Makes a letter and sends it, later. Without a server for mail, or with too many waiting, it is not even made.
    pub(crate) fn send(&self, make: impl FnOnce() -> Option<Letter> + Send + 'static) {
        let job = Job {
            make: Box::new(make),
            due: Instant::now() + HEAD_START,
        };
        let running = self.lock();
        let Some(running) = running.as_ref() else {
            return;
        };
        // Before it can be taken.
        self.tally.waiting.fetch_add(1, Ordering::Relaxed);
        if running.jobs.try_send(job).is_err() {
            self.tally.waiting.fetch_sub(1, Ordering::Relaxed);
            self.tally.given_up.add(1);
            log::warn!("too many letters wait to be sent; one was dropped");
        }
    }

    /// Sends what waits, as far as that is quick, and ends.
    pub(crate) fn stop(&self) {
        let Some(Running { jobs, ended }) = self.lock().take() else {
            return;
        };
        drop(jobs);
        if let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(STOP_WITHIN) {
            log::warn!("letters were not sent before the end");
        }
    }

    pub(crate) fn measures(&self) -> MailMeasures {
        let tally = &self.tally;
        MailMeasures {
            waiting: tally.waiting.load(Ordering::Relaxed),
            sent: tally.sent.get(),
            failed: tally.failed.get(),
            given_up: tally.given_up.get(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands a letter to this address over, or without one only speaks to the server: it greets, encrypts and signs in as for
/// a letter.
///
/// # Errors
/// One sentence.
pub(crate) fn test(settings: &MailSettings, to: Option<&str>) -> Result<(), String> {
    let post = Post::new(settings)?;
    let Some(to) = to else {
        return match post.transport.test_connection() {
            Ok(true) => Ok(()),
            Ok(false) => Err("the server for mail hung up".to_owned()),
            Err(error) => Err(reason(&error)),
        };
    };
    let message = post.write(Letter {
        to: to.to_owned(),
        subject: "A test of Picket's mail".to_owned(),
        text: "This letter was sent by picket doctor. That it is here says that mail works.\n"
            .to_owned(),
    });
    let Some(message) = message else {
        return Err("mail cannot be sent to such an address".to_owned());
    };
    match post.transport.send(&message) {
        Ok(_) => Ok(()),
        Err(error) => Err(reason(&error)),
    }
}

/// What went wrong, without the server's own words, which may name an address.
fn reason(error: &lettre::transport::smtp::Error) -> String {
    match error.status() {
        Some(code) => format!("the server for mail answered {code}"),
        None if error.is_response() => "the server for mail does not speak SMTP".to_owned(),
        None => error.to_string(),
    }
}

/// A letter that could not be sent yet.
struct Again {
    message: Message,
    /// How often it was tried.
    tries: usize,
    due: Instant,
}

fn run(jobs: &Receiver<Job>, post: &Post, tally: &Tally) {
    // In the order in which they came, not in that of their times; there are few.
    let mut again: VecDeque<Again> = VecDeque::new();
    loop {
        let next = again.iter().map(|letter| letter.due).min();
        let job = match next {
            None => jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(due) => jobs.recv_timeout(due.saturating_duration_since(Instant::now())),
        };
        match job {
            // A panic in a job costs its letter and nothing else; it has written itself to the log.
            Ok(Job { make, due }) => {
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                let letter = catch_unwind(AssertUnwindSafe(make)).ok().flatten();
                let message = letter.and_then(|letter| post.write(letter));
                if let Some(message) = message {
                    again.extend(post.deliver(message, 0, tally));
                }
                tally.waiting.fetch_sub(1, Ordering::Relaxed);
            }
            Err(RecvTimeoutError::Timeout) => {
                let now = Instant::now();
                for _ in 0..again.len() {
                    match again.pop_front() {
                        Some(letter) if letter.due <= now => {
                            tally.waiting.fetch_sub(1, Ordering::Relaxed);
                            again.extend(post.deliver(letter.message, letter.tries, tally));
                        }
                        Some(letter) => again.push_back(letter),
                        None => {}
                    }
                }
            }
            Err(RecvTimeoutError::Disconnected) => {
                if !again.is_empty() {
                    log::warn!("{} letters were not sent before the end", again.len());
                }
                return;
            }
        }
        while again.len() > WAITING_MAX {
            log::warn!("too many letters wait to be sent again; one was dropped");
            again.pop_front();
            tally.waiting.fetch_sub(1, Ordering::Relaxed);
            tally.given_up.add(1);
        }
    }
}

/// The way to the server.
struct Post {
    transport: SmtpTransport,
    from: Mailbox,
}

impl Post {
    fn new(settings: &MailSettings) -> Result<Post, String> {
        let server = &settings.server;
        let parameters = || {
            TlsParameters::new(server.host.clone())
                .map_err(|error| format!("mail cannot be encrypted: {error}"))
        };
        let tls = match server.encryption {
            Encryption::Tls => Tls::Wrapper(parameters()?),
            Encryption::StartTls => Tls::Required(parameters()?),
            Encryption::None => Tls::None,
        };
        let mut builder = SmtpTransport::builder_dangerous(server.host.as_str())
            .port(server.port)
            .tls(tls)
            .timeout(Some(TIME_OUT));
        if let Some((name, password)) = &server.credentials {
            builder = builder.credentials(Credentials::new(name.clone(), password.clone()));
        }
        let from = settings
            .from
            .parse()
            .map_err(|error| format!("mail cannot be sent from {:?}: {error}", settings.from))?;
        Ok(Post {
            transport: builder.build(),
            from,
        })
    }

    /// The letter as it is sent; none if its address is one that mail cannot be sent to.
    fn write(&self, letter: Letter) -> Option<Message> {
        let Ok(to) = letter.to.parse() else {
            log::warn!("a letter was not sent: mail cannot be sent to such an address");
            return None;
        };
        let is_plain = |c: &char| !c.is_control();
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(letter.subject.chars().filter(is_plain).collect::<String>())
            .header(ContentType::TEXT_PLAIN)
            // What answers by itself is to keep quiet (RFC 3834).
            .raw_header(lettre::message::header::HeaderValue::new(
                lettre::message::header::HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ))
            .body(letter.text);
        match message {
            Ok(message) => Some(message),
            Err(error) => {
                log::error!("a letter could not be written: {error}");
                None
            }
        }
    }

    /// Tries to send; what is to be tried again.
    fn deliver(&self, message: Message, tries: usize, tally: &Tally) -> Option<Again> {
        let error = match self.transport.send(&message) {
            Ok(_) => {
                tally.sent.add(1);
                return None;
            }
            Err(error) => error,
        };
        tally.failed.add(1);
        let reason = reason(&error);
        let pause = PAUSES.get(tries).filter(|_| !error.is_permanent());
        match pause {
            Some(pause) => {
                log::warn!("a letter was not sent and will be tried again: {reason}");
                tally.waiting.fetch_add(1, Ordering::Relaxed);
                Some(Again {
                    message,
                    tries: tries + 1,
                    due: Instant::now() + *pause,
                })
            }
            None => {
                log::error!("a letter was not sent: {reason}");
                tally.given_up.add(1);
                None
            }
        }
    }
}
