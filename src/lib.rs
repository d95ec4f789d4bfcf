//! Picket.
#![allow(dead_code)]
mod domain;

pub mod http;
