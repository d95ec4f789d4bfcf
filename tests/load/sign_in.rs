//! Whether the time of an answer tells who has an account: a wrong password against an account that is not there, and
//! forgotten passwords of both.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use picket::{App, ApplyFile, Clock, MailSettings, Settings, Timestamp};

use super::client::read_answer;
use super::table::median;

/// How often each is asked, taking turns.
const TIMES: usize = 200;

const ANN: &str = "ann@example.test";
const NOBODY: &str = "nobody@example.test";

pub(crate) fn measure() {
    let directory = super::disk::directory();
    let mut settings = Settings::new(
        ([127, 0, 0, 1], 0).into(),
        &directory.path().join("picket.db"),
    );
    settings.apply = Some(ApplyFile {
        name: "sign-in.toml".to_owned(),
        text: format!("[[user]]\nemail = \"{ANN}\"\npassword = \"correct horse battery staple\"\n"),
    });
    // Nobody takes the letters; they are made all the same, behind the answers.
    let mail = MailSettings::new("smtp://127.0.0.1:9?tls=none", None, "picket@example.test");
    settings.mail = Some(mail.expect("settings"));
    let clock = Clock::manual(Timestamp::from_secs(1_767_312_000));
    let app = App::start(settings, clock.clone()).expect("picket starts");
    let mut visitor = Visitor::open(&app);
    let mut drawn: u64 = 88_172_645_463_325_252;
    println!("### What an answer's time tells\n");
    println!("| | account | no account | ratio |\n|---|---|---|---|");
    for (name, path, status, more) in [
        (
            "wrong password",
            "/auth/login/",
            400,
            "&password=wrong+wrong",
        ),
        ("forgotten password", "/account/recover/", 200, ""),
    ] {
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for _ in 0..TIMES {
            // So that no count of tries is full.
            clock.set(clock.now().plus_secs(3600));
            // Who comes first is drawn, because workers take turns too: by even turns each account would always meet the
            // same ones.
            let mut both = [(ANN, &mut known), (NOBODY, &mut unknown)];
            drawn ^= drawn << 13;
            drawn ^= drawn >> 7;
            drawn ^= drawn << 17;
            if drawn % 2 == 1 {
                both.reverse();
            }
            for (email, times) in both {
                let form = format!("email={email}{more}");
                let took = visitor.send(path, &form, status);
                times.push(took.as_secs_f64() * 1e6);
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        // The machine's speed drifts, so the ratio is taken within a turn.
        let ratio = median(known.iter().zip(&unknown).map(|(a, b)| a / b));
        let known = median(known.into_iter());
        let unknown = median(unknown.into_iter());
        println!("| {name} | {known:.0} µs | {unknown:.0} µs | {ratio:.3} |");
    }
    drop(visitor);
    app.stop(Duration::from_secs(5));
}

/// A keep-alive connection of a browser that nobody knows.
struct Visitor {
    stream: TcpStream,
    answer: Vec<u8>,
    proof: String,
}

impl Visitor {
    fn open(app: &App) -> Visitor {
        let stream = TcpStream::connect(app.local_addr()).expect("the server listens");
        stream.set_nodelay(true).expect("a fresh socket");
        Visitor {
            stream,
            answer: Vec::new(),
            // The cookie of somebody who is not signed in is their own choice.
            proof: "0".repeat(64),
        }
    }

    fn send(&mut self, path: &str, form: &str, expected: u16) -> Duration {
        let body = format!("csrf={}&{form}", self.proof);
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: sc={}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            self.proof,
            body.len()
        );
        let sent = Instant::now();
        self.stream
            .write_all(request.as_bytes())
            .expect("the server reads");
        let head = read_answer(&mut self.stream, &mut self.answer).expect("the server answers");
        let took = sent.elapsed();
        assert_eq!(
            head.status,
            expected,
            "{}",
            String::from_utf8_lossy(&self.answer)
        );
        took
    }
}
