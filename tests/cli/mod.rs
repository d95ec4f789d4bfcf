//! The real program: its output, its exit codes, and what it leaves on disk.

mod admin;
mod apply;
mod database;
mod doctor;
mod dsn;
mod faults;
mod first_start;
mod log;
mod settings;
mod sso;
mod stop;
mod token;
mod usage;
mod user;
