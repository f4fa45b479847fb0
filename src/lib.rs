//! Rollcall keeps the members of Amazon Chime SDK messaging channels as `ChannelMembership` resources declare them.
