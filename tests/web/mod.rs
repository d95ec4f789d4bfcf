//! The pages, through the front door, as a browser without script sees them.

pub(crate) mod browser;
mod factors;
