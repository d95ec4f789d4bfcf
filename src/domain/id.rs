//! Row ids, a type for each noun, so that a project's number never stands where a team's belongs.

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) struct $name(pub(crate) i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

ids! {
    OrganizationId
    TeamId
    ProjectId
    UserId
    MemberId
    TokenId
    SessionId
    /// A user's second factor.
    AuthenticatorId
    /// An organization's identity provider.
    ProviderId
    /// A client key's row. Clients know a key by its public half only ([`super::key::PublicKey`]).
    KeyId
}

/// The largest id that may be chosen: JSON numbers stay exact in every client below it.
pub(crate) const CHOSEN_ID_MAX: i64 = 1 << 52;
