//! The pages, as a browser asks for them.

mod browser;
mod transfer;
