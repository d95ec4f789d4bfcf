//! The real program: its output, its exit codes, and what it leaves on disk.

mod admin;
mod apply;
mod backup;
mod check;
mod completions;
mod database;
mod doctor;
mod dsn;
mod faults;
mod first_start;
mod health;
mod log;
mod manual;
mod relocation;
mod settings;
mod sso;
mod stop;
mod supervisor;
mod tls;
mod token;
mod upgrade;
mod usage;
mod user;
