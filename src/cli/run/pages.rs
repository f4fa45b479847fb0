//! `--metrics-address`, `--health-address`: what is told where?

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::{Args, Switch};
use crate::chime::client::Client;
use crate::chime::port::Service;
use crate::controller::Vitals;
use crate::engine::Engine;
use crate::ops::health::Health;
use crate::ops::lease::Claim;
use crate::ops::metrics::{self, Metrics};
use crate::ops::serve::Pages;

/// Calls that wait for their turn are looked after every second at least.
const QUEUE_LATE: Duration = Duration::from_mins(5);

/// What whoever runs it can ask.
pub(super) fn pages<S: Service>(
    args: &Args,
    client: &Client<S>,
    engine: &Arc<OnceLock<Arc<Engine<S>>>>,
    vitals: &Arc<Vitals>,
    claim: &Claim,
) -> Pages {
    let mut pages = Pages::default();
    if let Some(address) = args.metrics_address {
        let mut metrics = Metrics::default();
        metrics::register_service(&mut metrics, client);
        metrics::register_engine(&mut metrics, engine);
        let leads = claim.clone();
        metrics.read_off(move |page| {
            page.gauge(
                "leader",
                "Whether this process carries out the resources: 1 or 0",
                f64::from(u8::from(leads.holds())),
            )
        });
        vitals.register(&mut metrics, args.metrics_per_resource == Switch::On);
        pages.metrics(address, Arc::new(metrics));
    }
    if let Some(address) = args.health_address {
        let mut health = Health::default();
        let leads = claim.clone();
        vitals.check(&mut health, move || !leads.holds());
        let pacer = Arc::clone(client.shared_pacer());
        health.alive_if(move || match pacer.overdue() {
            late if late > QUEUE_LATE => Err(format!("calls of the service wait for {} s too long", late.as_secs())),
            _ => Ok(()),
        });
        pages.health(address, Arc::new(health));
    }
    pages
}
