//! The service and the store in memory behave like the real ones. All tests of reconciles depend on
//! that.

mod service;
mod store;
