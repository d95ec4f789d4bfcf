//! Creates and updates what a TOML file describes (design 5).
//!
//! What the file leaves out is left alone, and nothing is ever deleted, so applying a file twice changes
//! nothing the second time. The way of a file: [`document`] reads it, [`check`] holds it against itself and
//! against the database, [`mod@write`] makes it so, and the [`Report`] says what changed. The second check and
//! the writing share one transaction; if anything is wrong, all of it is reported and none of it applied.

mod check;
mod document;
mod fault;
mod report;
mod write;

use std::fmt;
use std::sync::Arc;

use crate::domain::dsn::UrlPrefix;
use crate::domain::time::Timestamp;
use crate::domain::{Error, password};
use crate::store::{Connection, Store, users};

use document::Document;
pub(crate) use fault::Fault;
use fault::Faults;
pub(crate) use report::Report;

/// Why nothing was applied.
#[derive(Debug)]
pub(crate) enum NotApplied {
    /// The file is wrong; everything that is, in the order of its lines.
    Wrong(Vec<Fault>),
    /// The database could not be read or written.
    Failed(Error),
}

impl fmt::Display for NotApplied {
    /// One line for each fault.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotApplied::Wrong(faults) => {
                for (at, fault) in faults.iter().enumerate() {
                    if at > 0 {
                        f.write_str("\n")?;
                    }
                    fault.fmt(f)?;
                }
                Ok(())
            }
            NotApplied::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for NotApplied {}

impl From<Error> for NotApplied {
    fn from(error: Error) -> NotApplied {
        NotApplied::Failed(error)
    }
}

/// How often a run starts over because somebody changed a password between its being looked at and the
/// transaction. More than a few in a row is no coincidence.
const TRIES: usize = 5;

/// Applies the text of a file. `file_name` is only for messages; `url_prefix` goes into DSNs and tokens.
///
/// # Errors
/// What is wrong with the file, or that the database failed. Nothing was changed then.
pub(crate) fn run(
    store: &Store,
    text: &str,
    file_name: &str,
    url_prefix: &UrlPrefix,
    now: Timestamp,
) -> Result<Report, NotApplied> {
    let mut faults = Faults::new(file_name);
    let Some(document) = document::read(text, &mut faults) else {
        return Err(NotApplied::Wrong(faults.into_sorted()));
    };
    check::within(&document, &mut faults);
    if !faults.is_empty() {
        // It will not be applied; the database is asked all the same, so that one run tells everything.
        check::against(&*store.read()?, &document, &mut faults)?;
        return Err(NotApplied::Wrong(faults.into_sorted()));
    }
    let document = Arc::new(document);
    for _ in 0..TRIES {
        let passwords = prepare_passwords(&*store.read()?, &document)?;
        let (document, url_prefix) = (Arc::clone(&document), url_prefix.clone());
        let file_name = file_name.to_owned();
        let outcome = store.write(move |unit| {
            let mut faults = Faults::new(&file_name);
            check::against(unit, &document, &mut faults)?;
            if !faults.is_empty() {
                return Ok(Outcome::Wrong(faults.into_sorted()));
            }
            if !still_hold(unit, &document, &passwords)? {
                return Ok(Outcome::Overtaken);
            }
            write::all(unit, &document, &passwords, &url_prefix, now).map(Outcome::Applied)
        })?;
        match outcome {
            Outcome::Applied(report) => return Ok(report),
            Outcome::Wrong(faults) => return Err(NotApplied::Wrong(faults)),
            Outcome::Overtaken => {}
        }
    }
    Err(NotApplied::Failed(Error::Unavailable {
        retry_after_secs: 1,
    }))
}

enum Outcome {
    Applied(Report),
    Wrong(Vec<Fault>),
    /// A password changed after [`prepare_passwords`] had looked at it.
    Overtaken,
}

/// What becomes of one user's password, worked out before the transaction: Argon2 takes tens of
/// milliseconds, for which no event should wait.
struct Password {
    /// The hash in the database when it was looked at.
    stored: Option<String>,
    /// The hash to store; none if the stored one fits, or the file gives no password.
    fresh: Option<String>,
}

/// One entry for each user of the document, in its order.
fn prepare_passwords(connection: &Connection, document: &Document) -> Result<Vec<Password>, Error> {
    let prepare = |user: &document::User| {
        let stored = stored_hash(connection, user)?;
        let fresh = match &user.password {
            Some(text) => {
                let fits = stored
                    .as_deref()
                    .is_some_and(|hash| password::verify(&text.value, hash));
                if fits {
                    None
                } else {
                    Some(password::hash(&text.value)?)
                }
            }
            None => None,
        };
        Ok(Password { stored, fresh })
    };
    document.users.iter().map(prepare).collect()
}

fn still_hold(
    connection: &Connection,
    document: &Document,
    passwords: &[Password],
) -> Result<bool, Error> {
    for (user, password) in document.users.iter().zip(passwords) {
        if user.password.is_some() && stored_hash(connection, user)? != password.stored {
            return Ok(false);
        }
    }
    Ok(true)
}

fn stored_hash(connection: &Connection, user: &document::User) -> Result<Option<String>, Error> {
    let found = users::find_by_email(connection, &user.email.value)?;
    Ok(found.and_then(|user| user.password_hash))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::durability::Durability;

    const EXAMPLE: &str = r#"
[[organization]]
slug = "acme"
name = "Acme"

  [[organization.team]]
  slug = "core"

  [[organization.project]]
  slug = "first"

  [[organization.project]]
  slug = "web"
  id = 1
  platform = "python"
  teams = ["core"]
  options = { "filters:localhost" = true, "sentry:origins" = ["*.example.test", ""] }

    [[organization.project.key]]
    public = "0123456789abcdef0123456789abcdef"
    secret = "fedcba9876543210fedcba9876543210"
    rate_limit = { count = 100, window = 60 }

  [[organization.token]]
  name = "ci"
  expires = 2027-01-01T00:00:00Z

[[user]]
email = "ann@example.test"
password = "correct horse battery staple"
roles = { acme = "owner" }
teams = { acme = ["core:admin"] }

  [[user.token]]
  name = "laptop"
  token = "sntryu_0000000000000000000000000000000000000000000000000000000000000001"
  scopes = ["org:read", "project:admin"]
"#;

    fn store() -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("picket.db");
        let store = Store::open(&path, Durability::Full).unwrap();
        (directory, store)
    }

    fn apply(store: &Store, text: &str) -> Result<Report, String> {
        let prefix = UrlPrefix::parse("http://127.0.0.1:9000").unwrap();
        let now = Timestamp::from_secs(1_772_600_000);
        run(store, text, "a.toml", &prefix, now).map_err(|error| error.to_string())
    }

    fn audit_entries(store: &Store) -> i64 {
        let reader = store.read().unwrap();
        reader
            .query_row("SELECT count(*) FROM audit_entry", [], |row| row.get(0))
            .unwrap()
    }

    #[test]
    fn the_second_run_has_nothing_to_do_and_leaves_no_audit_entry() {
        let (_directory, store) = store();
        let report = apply(&store, EXAMPLE).ok().unwrap();
        let text = report.to_text(true);
        // "web" chose 1, so "first" could not have it although it stands first.
        assert!(
            text.contains("key Default of acme/web\n  http://0123456789abcdef0123456789abcdef@127.0.0.1:9000/1\n"),
            "{text}"
        );
        assert!(
            text.contains("created token ci of acme\n  sntrys_"),
            "{text}"
        );
        assert_eq!(report.secrets().count(), 1);
        let entries = audit_entries(&store);
        let report = apply(&store, EXAMPLE).ok().unwrap();
        assert_eq!(report.to_text(true), "nothing to do\n");
        assert_eq!(audit_entries(&store), entries);
    }

    #[test]
    fn a_password_that_changed_in_between_is_noticed() {
        let (_directory, store) = store();
        let user =
            |password: &str| format!("[[user]]\nemail = \"a@b\"\npassword = \"{password}\"\n");
        apply(&store, &user("first password")).ok().unwrap();
        let mut faults = Faults::new("a.toml");
        let document = document::read(&user("second password"), &mut faults).unwrap();
        let passwords = prepare_passwords(&store.read().unwrap(), &document).unwrap();
        assert!(still_hold(&store.read().unwrap(), &document, &passwords).unwrap());
        apply(&store, &user("third password")).ok().unwrap();
        assert!(!still_hold(&store.read().unwrap(), &document, &passwords).unwrap());
    }

    #[test]
    fn a_wrong_file_changes_nothing() {
        let (_directory, store) = store();
        let wrong = EXAMPLE.replace("acme = [\"core:admin\"]", "acme = [\"ops\"]");
        let faults = apply(&store, &wrong).err().unwrap();
        assert_eq!(
            faults,
            "a.toml:32: user.teams.acme: there is no team acme/ops, neither here nor in the database"
        );
        assert_eq!(audit_entries(&store), 0);
    }
}
