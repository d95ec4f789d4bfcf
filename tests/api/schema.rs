//! Compares real answers with the published schema of their endpoints.
