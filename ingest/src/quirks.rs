//! What is one identity provider's alone, each with its source.

pub(crate) mod entra;
pub(crate) mod okta;
pub(crate) mod onelogin;
