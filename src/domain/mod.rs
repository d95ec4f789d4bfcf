//! Picket's nouns and rules. No input, no output: nothing here opens a file, a socket or a database.

pub(crate) mod access;
pub(crate) mod actor;
pub(crate) mod address_range;
pub(crate) mod bundle_url;
pub(crate) mod category;
pub(crate) mod dsn;
pub(crate) mod durability;
pub(crate) mod email;
pub(crate) mod error;
pub(crate) mod event_id;
pub(crate) mod id;
pub(crate) mod key;
pub(crate) mod mail;
pub(crate) mod measure;
pub(crate) mod option;
pub(crate) mod origin;
pub(crate) mod outbound;
pub(crate) mod outcome;
pub(crate) mod password;
pub(crate) mod platform;
pub(crate) mod project_setting;
pub(crate) mod readiness;
pub(crate) mod recovery_code;
pub(crate) mod scope;
pub(crate) mod seal;
pub(crate) mod secret;
pub(crate) mod session;
pub(crate) mod single_sign_on;
pub(crate) mod size;
pub(crate) mod slug;
pub(crate) mod stored;
pub(crate) mod time;
pub(crate) mod token;
pub(crate) mod totp;
pub(crate) mod window;

pub(crate) use error::{Error, FieldErrors, Result};
