//! Takes what is nobody's business out of items before they are stored (facts/ingestion.md 9).
