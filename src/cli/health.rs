//! `picket health`.

use super::{Command, Failure, Flag, Invocation, print};
use crate::domain::dsn::UrlPrefix;
use crate::outbound::probe::{self, Said};

pub(super) const COMMAND: Command = Command {
    name: "health",
    summary: "ask whether the server is ready",
    about: "Asks the server that listens where the setting listen says (in the environment or the settings file), or the \
            one that --url names, whether it is ready. Ends with 0 if it is; else it says why not, and ends with 1. It is \
            for container engines and the like, where nothing else is installed that could ask.",
    arguments: &[],
    options: &[URL],
    serves: false,
    run,
};

const URL: Flag = Flag {
    name: "url",
    hint: Some("URL"),
    meaning: "the server to ask, such as http://127.0.0.1:9000",
};

fn run(invocation: &Invocation) -> Result<(), Failure> {
    let (url, answer) = match invocation.option(URL.name) {
        Some(url) => ask(url.trim_end_matches('/').to_owned()),
        None => {
            let listen = invocation.config.listen;
            match ask(UrlPrefix::of_address(listen, false).to_string()) {
                // Whoever speaks TLS there has no answer in plain text.
                (plain, Err(error)) => match ask(UrlPrefix::of_address(listen, true).to_string()) {
                    (_, Err(_)) => (plain, Err(error)),
                    answered => answered,
                },
                answered => answered,
            }
        }
    };
    let answer = answer.map_err(|error| {
        Failure::Failed(format!("the server at {url} cannot be asked: {error}"))
    })?;
    match answer.status {
        200..300 => print("ready\n"),
        status => Err(Failure::Failed(format!(
            "the server at {url} is not ready: it answered {status} {}",
            answer.first_line
        ))),
    }
}

fn ask(url: String) -> (String, Result<Said, String>) {
    let answer = probe::ask(&format!("{url}/health/ready"));
    (url, answer)
}
