//! Who changes something, and when, for the audit log. Every mutating function of `store` takes one.

use std::net::IpAddr;

use super::id::{SessionId, TokenId, UserId};
use super::time::Timestamp;

/// Who is responsible for a change, and the one time that all its rows carry.
#[derive(Clone, Debug)]
pub(crate) struct Actor {
    pub(crate) who: Who,
    pub(crate) at: Timestamp,
}

#[derive(Clone, Debug)]
pub(crate) enum Who {
    /// A user through the API.
    User {
        user: UserId,
        token: TokenId,
        address: IpAddr,
    },
    /// A user in a browser that is signed in.
    Session {
        user: UserId,
        session: SessionId,
        address: IpAddr,
    },
    /// Somebody who is not signed in, on their own behalf: whoever signs in, or follows a link that was sent to them.
    Visitor { user: UserId, address: IpAddr },
    /// Somebody whose account comes into being just now, because an identity provider vouches for them.
    Newcomer { address: IpAddr },
    /// An organization's token through the API.
    OrganizationToken { token: TokenId, address: IpAddr },
    /// Somebody with access to the machine: the command line, an apply file, the first start.
    Operator,
}

impl Actor {
    pub(crate) fn operator(at: Timestamp) -> Actor {
        Actor {
            who: Who::Operator,
            at,
        }
    }
}
