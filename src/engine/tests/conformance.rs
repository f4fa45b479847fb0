//! Are the service and the store in memory like the real ones? All tests of passes lean on that.

mod service;
mod store;
