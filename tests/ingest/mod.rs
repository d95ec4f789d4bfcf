mod auth;
mod corpora;
mod crash;
mod encodings;
mod items;
mod limits;
mod refusals;
mod rust_sdk;
