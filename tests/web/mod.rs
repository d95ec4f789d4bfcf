//! The pages, as a browser asks for them.

mod browser_tokens;
mod browser_transfer;
mod tokens;
mod transfer;
