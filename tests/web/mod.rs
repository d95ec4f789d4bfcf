//! The pages, through the front door, as a browser without script uses them.

mod browser;
mod tokens;
