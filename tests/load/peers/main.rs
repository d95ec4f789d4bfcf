//! The load client alone, which is built in seconds: the benches that it is a part of bring Picket and its optimizer
//! with them.

#[path = "../against.rs"]
mod against;
#[allow(dead_code, reason = "the benches measure more with it")]
#[path = "../client.rs"]
mod client;

fn main() {
    against::measure(std::env::args().skip(1));
}
