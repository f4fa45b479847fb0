//! How does one try Rollcall with no AWS account?
//!
//! A local stand-in for Amazon Chime SDK messaging: the operations about channels, memberships, moderators, bans and
//! sub-channels, with the service's errors, rules of who may do what, quotas and paging, and faults on demand. What it
//! plays is documented by the service's API model, its Developer Guide and its quota page; where those leave a question
//! open, [`Switches`] has the choices.
//!
//! `rollcall simulate` serves it; tests run it in-process:
//!
//! ```
//! use rollcall::simulator::{ChannelSeed, Options, Seed, Simulator};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let demo = "arn:aws:chime:us-east-1:123456789012:app-instance/demo";
//! let seed = Seed::new(demo).users(["alice", "rollcall"]).admins(["rollcall"]).channel(ChannelSeed::new("support"));
//! let simulator = Simulator::start(Options { seed, ..Options::default() }).await.unwrap();
//! assert!(simulator.endpoint().starts_with("http://127.0.0.1:"));
//! simulator.add_member(&format!("{demo}/channel/support"), "alice").unwrap();
//! simulator.shutdown().await;
//! # }
//! ```

mod admin;
mod call;
mod channel;
mod channels;
mod connection;
mod control;
mod fault;
mod identities;
mod journal;
mod memberships;
mod moderation;
mod operation;
mod paging;
mod perform;
mod quotas;
mod refusal;
mod roles;
mod roster;
mod route;
mod seed;
mod server;
mod signature;
mod state;
mod switches;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use channel::{ElasticConfiguration, Mode, Privacy};
pub use control::ChangeError;
pub use fault::{Effect, Fault};
pub use journal::{Action, CallRecord, Entry};
pub use operation::Operation;
pub use quotas::Quotas;
pub use seed::{AppInstanceSeed, ChannelSeed, InvitedSeed, Name, Seed, SeedError};
pub use switches::{DeleteOfNonMember, Limits, Missing, Repeated, Switches};

use connection::{CuttableListener, Wire};
use server::{Service, World};

/// How long a shutdown waits for answers under way.
const GRACE: Duration = Duration::from_secs(5);

/// How the simulator starts. The default: nothing there, the service's quotas, no delay, any free port of 127.0.0.1.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 is any free one.
    pub address: SocketAddr,
    /// What is there at the start.
    pub seed: Seed,
    /// Whether rates are kept.
    pub quotas: Quotas,
    /// How much of everything there may be.
    pub limits: Limits,
    /// Choices where the service is not documented.
    pub switches: Switches,
    /// How long reads of memberships lag behind writes.
    pub visibility_delay: Duration,
    /// The one region for which calls must be signed; any if absent.
    pub region: Option<String>,
    /// From which the probabilities of faults are drawn.
    pub random_seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            seed: Seed::default(),
            quotas: Quotas::default(),
            limits: Limits::default(),
            switches: Switches::default(),
            visibility_delay: Duration::ZERO,
            region: None,
            random_seed: 0,
        }
    }
}

/// Why the simulator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The seed makes no sense.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// The address cannot be had.
    #[error("failed to listen on {address}: {source}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// A running simulator, stopped when dropped. Its methods see and change the truth, whatever delay readers have.
#[derive(Debug)]
pub struct Simulator {
    service: Arc<Service>,
    address: SocketAddr,
    serving: Option<JoinHandle<()>>,
}

impl Simulator {
    /// Starts on the current tokio runtime.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let listening = |source| StartError::Listen { address: options.address, source };
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut state = state::State::new(options.switches, options.limits, options.visibility_delay, started);
        state.plant(&options.seed, Duration::ZERO)?;
        let listener = TcpListener::bind(options.address).await.map_err(listening)?;
        let address = listener.local_addr().map_err(listening)?;
        let world = World {
            state,
            buckets: quotas::Buckets::new(options.quotas),
            faults: fault::Faults::new(options.random_seed),
            calls: journal::Calls::default(),
        };
        let service = Arc::new(Service::new(world, options.region));
        let router = Router::new().fallback(server::answer).with_state(Arc::clone(&service));
        let serving = axum::serve(CuttableListener(listener), router.into_make_service_with_connect_info::<Wire>())
            .with_graceful_shutdown(service.stop.clone().cancelled_owned());
        let serving = tokio::spawn(async move {
            // The listener's accept never fails, so neither does this.
            let _ = serving.await;
        });
        Ok(Self { service, address, serving: Some(serving) })
    }

    /// Where it listens, as a URL for `AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops listening, and waits some seconds for answers under way.
    pub async fn shutdown(mut self) {
        self.service.stop.cancel();
        if let Some(serving) = self.serving.take() {
            // Who does not finish in time is cut off with the runtime; there is nothing to tell.
            let _ = tokio::time::timeout(GRACE, serving).await;
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.service.stop.cancel();
    }
}
