//! Picket.
#![allow(dead_code)]
mod domain;
mod store;

pub mod http;
