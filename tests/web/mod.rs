//! The pages, as a browser asks for them.

pub(crate) mod browser_factors;
mod browser_tokens;
mod browser_transfer;
mod factors;
mod tokens;
mod transfer;
