//! The pages.

mod browser;
mod provider;
mod single_sign_on;
