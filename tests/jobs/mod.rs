//! What the server does by itself in the background.

mod budgets;
mod deletion;
mod retention;
