//! What does a `ChannelMembership` look like? Types, schema and conditions; nothing but data.

mod membership_type;

pub use membership_type::MembershipType;
