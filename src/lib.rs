//! Picket.
#![allow(dead_code)]
mod domain;
mod http;
