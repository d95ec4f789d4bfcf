//! Moving in and out: Sentry's relocation JSON, written and read, and what another server's API tells.
//!
//! The format and what Sentry's importer does to it are facts/relocation.md's. Out: [`export`] walks over the rows and
//! writes one JSON array, whatever its length in bounded memory; what would not survive is told by [`export::losses`]
//! first. In: [`mod@file`] or [`remote`] make a [`bundle::Bundle`], which nobody has believed yet; [`mod@plan`] holds it
//! against the database and decides of each thing whether it is made, is here already or must stay out, and tells all
//! that comes otherwise than it was; [`mod@write`] does so in short transactions. What is there and the same is left
//! alone, so a run that was cut off goes on where it stopped when it is run again. Nothing that is here is ever changed
//! or replaced.

pub(crate) mod bundle;
pub(crate) mod export;
mod fields;
pub(crate) mod file;
pub(crate) mod notes;
mod options;
pub(crate) mod plan;
pub(crate) mod remote;
mod value;
pub(crate) mod write;
