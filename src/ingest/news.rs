//! What a stored item tells about its project and its key that the file may not know: an environment, and who sent it.
//!
//! The snapshot is asked before anything is copied, so an item that tells nothing new costs no memory. What an item
//! told is news until it was committed.

use std::fmt;

use super::Authenticated;
use super::json::Map;
use crate::domain::Error;
use crate::store::sightings::{self, Use};
use crate::store::writer::Unit;

/// How much of the text of a release or an environment is shown of a use.
const TEXT_BYTES_MAX: usize = 200;
const SDK_BYTES_MAX: usize = 100;

/// An SDK and its version, `sentry.python/2.75.0`; empty if nobody said. The text lies in the value itself, because
/// every request brings one and hardly any is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Sdk {
    bytes: [u8; SDK_BYTES_MAX],
    len: usize,
}

impl Sdk {
    pub(super) const NONE: Sdk = Sdk {
        bytes: [0; SDK_BYTES_MAX],
        len: 0,
    };

    /// A version without a name says nothing.
    pub(super) fn of(name: &str, version: &str) -> Sdk {
        let mut sdk = Sdk::of_client(name);
        if sdk.len > 0 && !version.trim().is_empty() {
            sdk.push("/");
            sdk.push(version.trim());
        }
        sdk
    }

    /// From the one text that `sentry_client` is.
    pub(super) fn of_client(text: &str) -> Sdk {
        let mut sdk = Sdk::NONE;
        sdk.push(text.trim());
        sdk
    }

    fn push(&mut self, text: &str) {
        let text = cut(text, SDK_BYTES_MAX - self.len);
        self.bytes[self.len..self.len + text.len()].copy_from_slice(text.as_bytes());
        self.len += text.len();
    }

    pub(super) fn as_str(&self) -> &str {
        // Nothing but whole characters was put in.
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }

    /// This one, or the other if nobody said this one.
    pub(super) fn or(self, other: Sdk) -> Sdk {
        if self.len > 0 { self } else { other }
    }
}

impl Default for Sdk {
    fn default() -> Sdk {
        Sdk::NONE
    }
}

impl fmt::Debug for Sdk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sdk({:?})", self.as_str())
    }
}

/// What the file may not know.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// With the hash by which the snapshot knows it.
    used: Option<(u64, Use)>,
    environment: Option<String>,
}

impl News {
    /// Of a normalised event. `sdk` is who sent the request, if the event does not say itself.
    pub(super) fn of_event(event: &Map<'_>, sdk: Sdk, who: &Authenticated) -> News {
        let own = event.map("sdk").map_or(Sdk::NONE, |sdk| {
            let part = |name| sdk.str(name).unwrap_or_default();
            Sdk::of(part("name"), part("version"))
        });
        let text = |name| event.str(name).unwrap_or_default();
        News::of(own.or(sdk), text("release"), text("environment"), who)
    }

    /// An empty text is none. The texts are ones that an event could have.
    pub(super) fn of(sdk: Sdk, release: &str, environment: &str, who: &Authenticated) -> News {
        let release = cut(release, TEXT_BYTES_MAX);
        let shown = cut(environment, TEXT_BYTES_MAX);
        let hash = who.key.uses.hash([sdk.as_str(), release, shown]);
        let used = who.key.uses.is_due(hash, who.received).then(|| {
            let used = Use {
                sdk: sdk.as_str().to_owned(),
                release: release.to_owned(),
                environment: shown.to_owned(),
            };
            (hash, used)
        });
        let is_new = !environment.is_empty() && !who.project.knows_environment(environment);
        News {
            used,
            environment: is_new.then(|| environment.to_owned()),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.used.is_none() && self.environment.is_none()
    }

    /// In the transaction of the item.
    pub(super) fn write(&self, who: &Authenticated, unit: &Unit<'_>) -> Result<(), Error> {
        if let Some((_, used)) = &self.used {
            sightings::set_use(unit, who.key.id, used, who.received)?;
        }
        if let Some(name) = &self.environment {
            sightings::add_environment(unit, who.project.id, name, who.received)?;
        }
        Ok(())
    }

    /// After the commit.
    pub(super) fn remember(&self, who: &Authenticated) {
        if let Some((hash, _)) = &self.used {
            who.key.uses.set_written(*hash, who.received);
        }
        if let Some(name) = &self.environment {
            who.project.set_environment(name);
        }
    }
}

/// The beginning of a text, in whole characters.
fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_sdk_is_a_name_and_perhaps_a_version() {
        for (name, version, expected) in [
            ("sentry.python", "2.75.0", "sentry.python/2.75.0"),
            (" sentry.go ", " ", "sentry.go"),
            ("", "2.75.0", ""),
        ] {
            assert_eq!(Sdk::of(name, version).as_str(), expected);
        }
        assert_eq!(Sdk::of("a", "1").or(Sdk::of("b", "2")).as_str(), "a/1");
        assert_eq!(Sdk::NONE.or(Sdk::of("b", "2")).as_str(), "b/2");
    }

    #[test]
    fn a_long_sdk_is_cut_between_characters() {
        let long = "é".repeat(60);
        assert_eq!(Sdk::of(&long, "1").as_str(), "é".repeat(50));
        let long = format!("a{}", "é".repeat(60));
        assert_eq!(
            Sdk::of(&long, "1").as_str(),
            format!("a{}/", "é".repeat(49))
        );
    }
}
