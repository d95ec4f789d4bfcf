//! `picket import`.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::confirm::YES;
use super::export::say;
use super::progress::Line;
use super::table::table;
use super::{Argument, Command, Failure, Flag, Invocation, JSON, print, print_json};
use crate::domain::Error;
use crate::domain::time::Timestamp;
use crate::relocation::bundle::Bundle;
use crate::relocation::plan::{self, Plan};
use crate::relocation::remote::{self, Server};
use crate::relocation::{file, write};
use crate::store::Store;

const STDIN: &str = "-";

/// Where the token is looked for if no file is named, as by Sentry's own tools.
const TOKEN_VARIABLE: &str = "SENTRY_AUTH_TOKEN";

/// No token is longer.
const TOKEN_BYTES_MAX: u64 = 4096;

pub(super) const COMMAND: Command = Command {
    name: "import",
    summary: "take over what a Sentry, or another Picket, has",
    about: "Makes the organizations, teams, projects, client keys, options, users, members and tokens of a file that sentry export \
            or picket export wrote, or of a server that --from names, which is asked by its API and never changed. Numbers of \
            projects and all keys stay as they are where they are free, so that DSNs go on working; what cannot stay is told by \
            name. What is here already is left alone, so a run that was cut off goes on when it is run again. The whole file is \
            checked first, and what comes otherwise than it was is told before anything is written.\n\
            A missing database is made: import into a new one, and nothing is taken. A server may run on it meanwhile.",
    arguments: &[Argument {
        name: "[FILE]",
        meaning: "the file; - for standard input; none with --from",
    }],
    options: &[
        Flag {
            name: "from",
            hint: Some("URL"),
            meaning: "the server to read from, such as https://sentry.example.com",
        },
        Flag {
            name: "token-file",
            hint: Some("FILE"),
            meaning: "with --from: holds a token that may read there (org:read, team:read, project:read, member:read); - for \
                      standard input; else the environment's SENTRY_AUTH_TOKEN",
        },
        Flag {
            name: "org",
            hint: Some("SLUG"),
            meaning: "with --from: only this organization; may be given again",
        },
        Flag {
            name: "dry-run",
            hint: None,
            meaning: "tell what would be done, and do nothing",
        },
        YES,
        JSON,
    ],
    serves: false,
    run,
};

fn run(invocation: &Invocation) -> Result<(), Failure> {
    let bundle = match (
        invocation.given.arguments.first(),
        invocation.option("from"),
    ) {
        (Some(name), None) => {
            for option in ["token-file", "org"] {
                if invocation.option(option).is_some() {
                    return Err(Failure::Usage(format!(
                        "--{option} is for --from, and not for a file"
                    )));
                }
            }
            read_file(name)?
        }
        (None, Some(url)) => read_server(invocation, url)?,
        (Some(_), Some(_)) => {
            return Err(Failure::Usage(
                "import takes a FILE or --from, and not both".to_owned(),
            ));
        }
        (None, None) => {
            return Err(Failure::Usage(
                "import needs a FILE, or --from URL".to_owned(),
            ));
        }
    };
    let now = invocation.clock().now();
    let plan = make_plan(invocation, bundle, now)?;
    if invocation.option("dry-run").is_some() {
        return tell(invocation, &plan, "dry-run");
    }
    say(&plan_text(&plan));
    if !plan.notes.is_empty() && plan.size() > 0 {
        invocation.confirm("not everything comes as it was, as listed above", "import")?;
    }
    let store = Store::open_beside(&invocation.config.data)?;
    let mut line = Line::new();
    let size = plan.size();
    let result = write::run(&store, &plan, now, |made| {
        line.draw(&format!("{made} of {size} made"));
    });
    drop(line);
    store.close();
    result.map_err(stopped)?;
    tell(invocation, &plan, "done")
}

/// Holds what came against the database; a missing one is not made for that.
fn make_plan(invocation: &Invocation, bundle: Bundle, now: Timestamp) -> Result<Plan, Failure> {
    let data = &invocation.config.data;
    let empty = match data.try_exists() {
        Ok(false) => Some(Beside::new()?),
        _ => None,
    };
    let store = match &empty {
        Some(beside) => Store::open_beside(&beside.0.join("picket.db"))?,
        None => Store::open_beside(data)?,
    };
    let plan = store
        .read()
        .and_then(|connection| plan::make(&connection, bundle, now));
    store.close();
    Ok(plan?)
}

fn stopped(error: Error) -> Failure {
    Failure::Failed(format!(
        "the import stopped: {error}; what was made stays, and the same command goes on from there"
    ))
}

fn plan_text(plan: &Plan) -> String {
    let rows = plan.tallies.iter().map(|tally| {
        [
            tally.noun.to_owned(),
            tally.new.to_string(),
            tally.here.to_string(),
        ]
    });
    let mut text = table(["", "NEW", "HERE ALREADY"], rows.collect());
    if !plan.notes.is_empty() {
        text.push_str("\nWhat there is to know:\n");
        text.push_str(&plan.notes.to_text());
    }
    text
}

fn tell(invocation: &Invocation, plan: &Plan, state: &str) -> Result<(), Failure> {
    if invocation.json() {
        let tallies = plan.tallies.iter().map(|tally| {
            let counts = json!({ "new": tally.new, "here": tally.here });
            (tally.noun.replace(' ', "_"), counts)
        });
        let tallies: serde_json::Map<String, Value> = tallies.collect();
        return print_json(&json!({
            "state": state, "rows": tallies, "notes": plan.notes.to_json(),
        }));
    }
    match state {
        "dry-run" => print(&format!("{}\nnothing was written\n", plan_text(plan))),
        _ => print(&match plan.size() {
            0 => "everything is here already\n".to_owned(),
            count => format!("{count} things are made\n"),
        }),
    }
}

fn read_file(name: &str) -> Result<Bundle, Failure> {
    let read = match name {
        STDIN => file::read(
            BufReader::with_capacity(1 << 16, io::stdin().lock()),
            "standard input",
        ),
        name => {
            let input = File::open(name)
                .map_err(|error| Failure::Failed(format!("cannot read {name}: {error}")))?;
            file::read(BufReader::with_capacity(1 << 16, input), name)
        }
    };
    read.map_err(|wrong| {
        let faults_are = match wrong.count() {
            1 => "is 1 fault".to_owned(),
            count => format!("are {count} faults"),
        };
        let text = format!("there {faults_are} in {name}, so nothing of it was imported");
        Failure::Faults(wrong.to_string(), text)
    })
}

fn read_server(invocation: &Invocation, url: &str) -> Result<Bundle, Failure> {
    let token = token(invocation)?;
    let clock = invocation.clock();
    let server = Server::new(url, &token, &invocation.config.outbound, clock)
        .map_err(|text| Failure::Usage(format!("--from: {text}")))?;
    let organizations: Vec<String> = invocation.options("org").map(str::to_owned).collect();
    let is_slug = |text: &String| {
        let mut characters = text.chars();
        !text.is_empty() && characters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    if let Some(wrong) = organizations.iter().find(|text| !is_slug(text)) {
        return Err(Failure::Usage(format!("--org: {wrong:?} is no slug")));
    }
    let mut line = Line::new();
    let read = remote::read(&server, &organizations, &mut |what| {
        line.draw(&format!("reading {what}"));
    });
    drop(line);
    read.map_err(|not_read| Failure::Failed(not_read.text))
}

fn token(invocation: &Invocation) -> Result<String, Failure> {
    let read = |input: &mut dyn Read| -> io::Result<String> {
        let mut text = String::new();
        input.take(TOKEN_BYTES_MAX).read_to_string(&mut text)?;
        Ok(text.trim().to_owned())
    };
    match invocation.option("token-file") {
        Some(STDIN) => read(&mut io::stdin().lock())
            .map_err(|error| Failure::Failed(format!("cannot read the token: {error}"))),
        Some(name) => File::open(name)
            .and_then(|mut file| read(&mut file))
            .map_err(|error| Failure::Failed(format!("cannot read {name}: {error}"))),
        None => match std::env::var(TOKEN_VARIABLE) {
            Ok(token) if !token.trim().is_empty() => Ok(token.trim().to_owned()),
            _ => Err(Failure::Usage(format!(
                "--from needs a token: --token-file FILE, or the variable {TOKEN_VARIABLE}"
            ))),
        },
    }
}

/// A directory of this process's own, gone when dropped.
struct Beside(PathBuf);

impl Beside {
    fn new() -> Result<Beside, Failure> {
        use std::os::unix::fs::DirBuilderExt;
        let path = std::env::temp_dir().join(format!("picket-dry-run-{}", std::process::id()));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|error| {
                let shown = Path::display(&path);
                Failure::Failed(format!("cannot make {shown} for a dry run: {error}"))
            })?;
        Ok(Beside(path))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Nothing of value is in it.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
