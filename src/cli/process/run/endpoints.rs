//! The HTTP endpoints of `--metrics-address` and `--health-address`.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::flags::Args;
use crate::chime::client::Client;
use crate::chime::port::Service;
use crate::cli::shared::switch::Switch;
use crate::controller::ControllerMetrics;
use crate::engine::Engine;
use crate::ops::health::Health;
use crate::ops::lease::Leadership;
use crate::ops::metrics::{Metrics, register_engine_metrics, register_service_metrics};
use crate::ops::serve::HttpEndpoints;

/// The longest time that a call may be overdue. The rate limiter looks at waiting calls every
/// second at least.
const QUEUE_LATE: Duration = Duration::from_mins(5);

/// Returns the endpoints for metrics and health.
pub(super) fn endpoints<S: Service>(
    args: &Args,
    client: &Client<S>,
    engine: &Arc<OnceLock<Arc<Engine<S>>>>,
    controller_metrics: &Arc<ControllerMetrics>,
    leadership: &Leadership,
) -> HttpEndpoints {
    let mut endpoints = HttpEndpoints::default();
    if let Some(address) = args.metrics_address {
        let mut metrics = Metrics::default();
        register_service_metrics(&mut metrics, client);
        register_engine_metrics(&mut metrics, engine);
        let leads = leadership.clone();
        metrics.add_collector(move |page| {
            page.gauge("leader", "1 if this process is the leader, else 0", f64::from(u8::from(leads.is_held())))
        });
        controller_metrics.register_metrics(&mut metrics, args.metrics_per_resource == Switch::On);
        endpoints.add_metrics(address, Arc::new(metrics));
    }
    if let Some(address) = args.health_address {
        let mut health = Health::default();
        let leads = leadership.clone();
        controller_metrics.register_checks(&mut health, move || !leads.is_held());
        let limiter = Arc::clone(client.rate_limiter());
        health.add_liveness_check(move || match limiter.overdue() {
            late if late > QUEUE_LATE => Err(format!("calls of the service are overdue by {} s", late.as_secs())),
            _ => Ok(()),
        });
        endpoints.add_health(address, Arc::new(health));
    }
    endpoints
}
