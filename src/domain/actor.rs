//! Who changes something, for the audit log. Every mutating function of `store` takes one.

use std::net::IpAddr;

use super::id::{TokenId, UserId};

/// Who is responsible for a change.
#[derive(Clone, Debug)]
pub(crate) enum Actor {
    /// A user through the API.
    User {
        user: UserId,
        token: TokenId,
        address: IpAddr,
    },
    /// An organization's token through the API.
    OrganizationToken { token: TokenId, address: IpAddr },
    /// Somebody with access to the machine: the command line, an apply file, the first start.
    Operator,
}
