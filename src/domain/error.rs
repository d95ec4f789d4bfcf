//! What a caller may be told when something cannot be done.
//!
//! Knows no status codes and no wire format: each front turns an [`Error`] into its own answer in one place.

use std::collections::BTreeMap;
use std::fmt;

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation was refused or failed.
#[derive(Debug)]
pub(crate) enum Error {
    /// The input breaks rules; which, field by field.
    Invalid(FieldErrors),
    /// There is no such thing, or it is not where the caller looked.
    NotFound,
    /// It is there, and not the caller's.
    Forbidden,
    /// Who is asking is unknown; the text says what is wrong with the credentials.
    Unauthorized(String),
    /// It clashes with what exists.
    Conflict(String),
    /// Refused for a reason with a text of its own that is no field's.
    Refused(String),
    /// The server cannot take it now (queue full, disk full); worth trying again after so many seconds.
    Unavailable { retry_after_secs: u32 },
    /// Whether it was kept cannot be said: a fault of the disk hit the commit itself.
    Uncertain,
    /// A bug or a fault of the machine. The cause is for the log, never for the caller.
    Internal(Cause),
}

/// The cause of an internal error, with the chain of its own causes.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

impl Error {
    pub(crate) fn internal(cause: impl Into<Cause>) -> Error {
        Error::Internal(cause.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Invalid(fields) => fields.fmt(f),
            Error::NotFound => f.write_str("it does not exist"),
            Error::Forbidden => f.write_str("permission denied"),
            Error::Unauthorized(text) | Error::Refused(text) | Error::Conflict(text) => {
                f.write_str(text)
            }
            Error::Unavailable { .. } => {
                f.write_str("the server cannot take it now; try again later")
            }
            Error::Uncertain => {
                f.write_str("a fault hit the very moment of saving; it may be kept or not")
            }
            Error::Internal(cause) => {
                cause.fmt(f)?;
                let mut source = cause.source();
                while let Some(inner) = source {
                    write!(f, ": {inner}")?;
                    source = inner.source();
                }
                Ok(())
            }
        }
    }
}

/// What is wrong with an input: texts about the whole, and a subtree per field or list index
/// (facts/management-api.md 1.7: nested objects nest, list items are keyed by their index).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldErrors {
    /// Texts about this value itself.
    pub(crate) texts: Vec<String>,
    /// What is wrong inside it.
    pub(crate) fields: BTreeMap<String, FieldErrors>,
}

impl FieldErrors {
    /// Adds a text to a field; texts of one field keep their order.
    pub(crate) fn add(&mut self, field: &str, text: impl Into<String>) {
        self.fields
            .entry(field.to_owned())
            .or_default()
            .texts
            .push(text.into());
    }

    /// Puts a subtree under a field.
    pub(crate) fn nest(&mut self, field: &str, errors: FieldErrors) {
        if !errors.is_empty() {
            self.fields.insert(field.to_owned(), errors);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.fields.is_empty()
    }

    /// `Ok` when nothing was found wrong.
    pub(crate) fn into_result(self) -> Result<()> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(Error::Invalid(self))
        }
    }
}

/// `field.inner: text; text, other: text`, for messages on a terminal.
impl fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn lines(errors: &FieldErrors, path: &str, into: &mut Vec<String>) {
            if !errors.texts.is_empty() {
                let texts = errors.texts.join("; ");
                into.push(if path.is_empty() {
                    texts
                } else {
                    format!("{path}: {texts}")
                });
            }
            for (name, inner) in &errors.fields {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                lines(inner, &path, into);
            }
        }
        let mut all = Vec::new();
        lines(self, "", &mut all);
        f.write_str(&all.join(", "))
    }
}
