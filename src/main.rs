//! The program: everything is in the library, so that tests can have it in their own process.

use std::process::ExitCode;

fn main() -> ExitCode {
    picket::run(std::env::args_os().skip(1))
}
