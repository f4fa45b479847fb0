//! A local stand-in for Amazon Chime SDK messaging, to try Rollcall without an AWS account.
//!
//! It serves the operations on channels, memberships, moderators, bans and sub-channels, with the
//! service's errors, roles, quotas and paging, and it injects faults on demand. It follows the
//! service's API model, its Developer Guide and its quota page. [`UndocumentedBehaviours`] has the
//! choices that these sources leave open.
//!
//! `rollcall simulate` serves it. Tests run it in-process:
//!
//! ```
//! use rollcall::simulator::{ChannelSeed, Seed, Simulator, SimulatorOptions};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let demo = "arn:aws:chime:us-east-1:123456789012:app-instance/demo";
//! let seed = Seed::new(demo).users(["alice", "rollcall"]).admins(["rollcall"]);
//! let seed = seed.channel(ChannelSeed::new("support"));
//! let options = SimulatorOptions { seed, ..SimulatorOptions::default() };
//! let simulator = Simulator::start(options).await.unwrap();
//! assert!(simulator.endpoint().starts_with("http://127.0.0.1:"));
//! simulator.add_member(&format!("{demo}/channel/support"), "alice").unwrap();
//! simulator.shutdown().await;
//! # }
//! ```

mod actor;
mod admin;
mod api_error;
mod audit_log;
mod behaviours;
mod call;
mod channel;
mod channels;
mod connection;
mod control;
mod dispatch;
mod fault;
mod identities;
mod limits;
mod membership_store;
mod memberships;
mod moderation;
mod operation;
mod paging;
mod quotas;
mod roles;
mod route;
mod seed;
mod seeding;
mod server;
mod shared_state;
mod signature;
mod state;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use audit_log::{CallRecord, MembershipAction, MembershipChange};
pub use behaviours::{DeleteOfNonMember, MissingCode, RepeatedMember, UndocumentedBehaviours};
pub use channel::{ChannelMode, ChannelPrivacy, ElasticConfiguration};
pub use control::ChangeError;
pub use fault::{Fault, FaultEffect};
pub use limits::ServiceLimits;
pub use operation::ApiOperation;
pub use quotas::Quotas;
pub use seed::{AppInstanceSeed, ChannelSeed, InvitedSeed, Seed, SeedError, SeedName};

use connection::{ConnectionHandle, CuttableListener};
use shared_state::{SharedState, SimulatorState};

/// The longest time that a shutdown waits for pending answers.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// The settings of a simulator. The default listens on a free port of 127.0.0.1, with quotas.
#[derive(Clone, Debug)]
pub struct SimulatorOptions {
    /// The address to listen on. Port 0 is any free port.
    pub address: SocketAddr,
    /// The app instances, users and channels at the start.
    pub seed: Seed,
    /// The call rates above which calls are throttled.
    pub quotas: Quotas,
    /// The limits on the number of channels, members and roles.
    pub limits: ServiceLimits,
    /// The choices for behaviour that AWS does not document.
    pub behaviours: UndocumentedBehaviours,
    /// The time by which reads of memberships lag behind writes.
    pub visibility_delay: Duration,
    /// The region for which calls must be signed. If it is absent, any region is accepted.
    pub region: Option<String>,
    /// The seed of the random numbers behind the probability of faults.
    pub random_seed: u64,
}

impl Default for SimulatorOptions {
    fn default() -> Self {
        Self {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            seed: Seed::default(),
            quotas: Quotas::default(),
            limits: ServiceLimits::default(),
            behaviours: UndocumentedBehaviours::default(),
            visibility_delay: Duration::ZERO,
            region: None,
            random_seed: 0,
        }
    }
}

/// The reason why a simulator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The seed is invalid.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// The address cannot be bound.
    #[error("failed to listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
}

/// A running simulator, stopped when it is dropped. Its methods ignore the visibility delay.
#[derive(Debug)]
pub struct Simulator {
    shared: Arc<SharedState>,
    address: SocketAddr,
    serving: Option<JoinHandle<()>>,
}

impl Simulator {
    /// Starts a simulator on the current tokio runtime.
    pub async fn start(options: SimulatorOptions) -> Result<Self, StartError> {
        let listen_error = |source| StartError::Listen { address: options.address, source };
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut service =
            state::ServiceState::new(options.behaviours, options.limits, options.visibility_delay, started);
        service.apply_seed(&options.seed, Duration::ZERO)?;
        let listener = TcpListener::bind(options.address).await.map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        let state = SimulatorState {
            service,
            buckets: quotas::QuotaBuckets::new(options.quotas),
            faults: fault::FaultRegistry::new(options.random_seed),
            calls: audit_log::CallLog::default(),
        };
        let shared = Arc::new(SharedState::new(state, options.region));
        let router = Router::new().fallback(server::handle_request).with_state(Arc::clone(&shared));
        let make_service = router.into_make_service_with_connect_info::<ConnectionHandle>();
        let serving = axum::serve(CuttableListener(listener), make_service)
            .with_graceful_shutdown(shared.stop.clone().cancelled_owned());
        let serving = tokio::spawn(async move {
            // The listener's accept never fails, so serving does not fail either.
            let _ = serving.await;
        });
        Ok(Self { shared, address, serving: Some(serving) })
    }

    /// Returns the URL of the simulator, for `AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops listening, and waits a few seconds for pending answers.
    pub async fn shutdown(mut self) {
        self.shared.stop.cancel();
        if let Some(serving) = self.serving.take() {
            // After the timeout, the runtime drops the remaining connections. That needs no report.
            let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, serving).await;
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}
