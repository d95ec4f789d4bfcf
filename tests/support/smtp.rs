//! A server that takes mail and keeps it, as far as one that is spoken to by rule.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use picket::MailSettings;

/// A letter as it came.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) from: String,
    pub(crate) to: String,
    /// Head and body, with plain line breaks.
    pub(crate) text: String,
}

impl Letter {
    /// The line that starts so, as links stand on lines of their own.
    pub(crate) fn line(&self, start: &str) -> &str {
        self.text
            .lines()
            .find(|line| line.starts_with(start))
            .unwrap_or_else(|| panic!("no line {start} in {}", self.text))
    }
}

/// A letter as a program for mail shows it.
fn readable(text: &str) -> String {
    if !text.contains("Content-Transfer-Encoding: quoted-printable") {
        return text.to_owned();
    }
    let mut bytes = Vec::new();
    let text = text.replace("=\n", "");
    let mut parts = text.split('=');
    bytes.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        let (digits, rest) = part.split_at(2);
        // A head of a letter in plain ASCII may hold this sign as it is.
        match u8::from_str_radix(digits, 16) {
            Ok(byte) => bytes.push(byte),
            Err(_) => bytes.extend_from_slice(&[b"=", digits.as_bytes()].concat()),
        }
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).expect("UTF-8")
}

/// The running server; its thread ends with the test program.
pub(crate) struct Post {
    port: u16,
    letters: Arc<Mutex<Vec<Letter>>>,
    /// How many letters are refused for now, and for good, before one is taken.
    not_now: Arc<AtomicUsize>,
    never: Arc<AtomicUsize>,
    /// How often somebody said whom a letter is for.
    pub(crate) tries: Arc<AtomicUsize>,
    /// What was said of who sends, in base64.
    pub(crate) credentials: Arc<Mutex<Vec<String>>>,
}

impl Post {
    pub(crate) fn start() -> Post {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let post = Post {
            port: listener.local_addr().expect("an address").port(),
            letters: Arc::default(),
            not_now: Arc::default(),
            never: Arc::default(),
            tries: Arc::default(),
            credentials: Arc::default(),
        };
        let shared = post.share();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.share();
                std::thread::spawn(move || shared.talk(stream));
            }
        });
        post
    }

    pub(crate) fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}?tls=none", self.port)
    }

    pub(crate) fn settings(&self) -> MailSettings {
        MailSettings::new(&self.url(), None, "Picket <picket@example.test>").expect("settings")
    }

    /// As [`Post::settings`], with a user and a password.
    pub(crate) fn settings_with(&self, user: &str, password: &str) -> MailSettings {
        let url = format!("smtp://{user}@127.0.0.1:{}?tls=none", self.port);
        let password = Some(password.to_owned());
        MailSettings::new(&url, password, "picket@example.test").expect("settings")
    }

    /// Refuses the next letters for now, as a busy server does.
    pub(crate) fn refuse_for_now(&self, letters: usize) {
        self.not_now.store(letters, Ordering::SeqCst);
    }

    /// Refuses the next letters for good.
    pub(crate) fn refuse(&self, letters: usize) {
        self.never.store(letters, Ordering::SeqCst);
    }

    pub(crate) fn letters(&self) -> Vec<Letter> {
        self.letters.lock().expect("no panic").clone()
    }

    /// Waits until so many letters are here, and returns the last.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) -> Letter {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let letters = self.letters();
            if letters.len() >= count {
                assert_eq!(letters.len(), count, "{letters:?}");
                return letters[count - 1].clone();
            }
            assert!(Instant::now() < deadline, "only {letters:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn share(&self) -> Post {
        Post {
            port: self.port,
            letters: Arc::clone(&self.letters),
            not_now: Arc::clone(&self.not_now),
            never: Arc::clone(&self.never),
            tries: Arc::clone(&self.tries),
            credentials: Arc::clone(&self.credentials),
        }
    }

    fn talk(&self, stream: TcpStream) -> Option<()> {
        let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
        let mut answer = stream;
        let mut say = move |text: &str| write!(answer, "{text}\r\n").ok();
        let takes_one = |count: &AtomicUsize| {
            count
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
                .is_ok()
        };
        say("220 post.test")?;
        let (mut from, mut to) = (String::new(), String::new());
        loop {
            let line = lines.next()?.ok()?;
            let address = || {
                let inner = line.split(['<', '>']).nth(1);
                inner.unwrap_or_default().to_owned()
            };
            match line.get(..4)?.to_uppercase().as_str() {
                "EHLO" => say("250-post.test\r\n250 AUTH PLAIN")?,
                "AUTH" => {
                    let word = line.rsplit(' ').next().unwrap_or_default();
                    self.credentials.lock().ok()?.push(word.to_owned());
                    say("235 welcome")?;
                }
                "MAIL" => {
                    from = address();
                    say("250 go on")?;
                }
                "RCPT" => {
                    self.tries.fetch_add(1, Ordering::SeqCst);
                    to = address();
                    if takes_one(&self.not_now) {
                        say(&format!("451 <{to}> later"))?;
                    } else if takes_one(&self.never) {
                        say(&format!("550 <{to}> is nobody here"))?;
                    } else {
                        say("250 go on")?;
                    }
                }
                "DATA" => {
                    say("354 go on")?;
                    let mut text = String::new();
                    loop {
                        let line = lines.next()?.ok()?;
                        if line == "." {
                            break;
                        }
                        text.push_str(line.strip_prefix('.').unwrap_or(&line));
                        text.push('\n');
                    }
                    let letter = Letter {
                        from: from.clone(),
                        to: to.clone(),
                        text: readable(&text),
                    };
                    self.letters.lock().ok()?.push(letter);
                    say("250 taken")?;
                }
                "QUIT" => {
                    say("221 bye")?;
                    return None;
                }
                _ => say("250 fine")?,
            }
        }
    }
}
