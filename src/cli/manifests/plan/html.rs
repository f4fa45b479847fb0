//! The plan as an HTML page.
//!
//! The page is one file and loads no other: it contains its style and script, and its content
//! security policy allows these two and nothing else. Without the script the page can be read; with
//! it, also searched. No foreign text is inside a tag, so no attribute depends on one.

mod card;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

use super::escaping::Html;
use super::phrases::{self, Urgency, count, number};
use crate::offline::plan::{Before, Plan, ResourcePlan};

const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");

/// Returns the plan as a page.
pub(super) fn html(plan: &Plan) -> String {
    with_script(plan, SCRIPT)
}

fn with_script(plan: &Plan, script: &str) -> String {
    let mut page = String::new();
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <link rel=\"icon\" href=\"data:,\">\n\
         <title>Rollcall plan: {}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n",
        policy(script),
        phrases::headline(plan)
    );
    header(plan, &mut page);
    page += "<main id=\"resources\">\n";
    notices(plan, &mut page);
    search(plan, &mut page);
    for (urgency, id) in [(Urgency::Decide, "decide"), (Urgency::Leave, "leave"), (Urgency::Come, "come")] {
        section(plan, urgency, id, &mut page);
    }
    quiet(plan, &mut page);
    page += "</main>\n<footer><p>+ is added, − is removed, ! is not added, = stays. Nothing on this page has been carried out.</p></footer>\n";
    let _ = write!(page, "<script>{script}</script>\n</body>\n</html>\n");
    page
}

/// Returns the content security policy: the page's own style and script, by their digests, and an
/// empty icon.
fn policy(script: &str) -> String {
    let digest = |text: &str| format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text)));
    format!(
        "default-src 'none'; style-src {}; script-src {}; img-src data:; base-uri 'none'; form-action 'none'",
        digest(STYLE),
        digest(script)
    )
}

fn header(plan: &Plan, page: &mut String) {
    *page += "<a class=\"skip\" href=\"#resources\">Skip to the resources</a>\n<header class=\"top\">\n<p class=\"brand\">Rollcall plan</p>\n";
    let resources = count(plan.totals.resources, "resource");
    let _ = match plan.totals.affected {
        0 if plan.is_partial() => {
            writeln!(page, "<h1>{} of {resources} could not be listed</h1>", number(plan.totals.errors))
        }
        0 => writeln!(page, "<h1>No change in {resources}</h1>"),
        affected => writeln!(page, "<h1>Changes in {} of {resources}</h1>", number(affected)),
    };
    *page += "<dl class=\"numbers\">\n";
    for sum in phrases::numbers(&plan.totals) {
        // Additions and removals are shown always, other sums only if they are not 0.
        if sum.count > 0 || matches!(sum.key, "add" | "remove") {
            let (key, label, n) = (sum.key, sum.heading, number(sum.count));
            let none = if sum.count == 0 { " none" } else { "" };
            let _ = writeln!(
                page,
                "<div class=\"number {key}{none}\"><dt>{label}</dt><dd data-sum=\"{key}\">{n}</dd></div>"
            );
        }
    }
    let _ = writeln!(
        page,
        "</dl>\n<p class=\"cost\">Carrying it out takes {}.</p>\n</header>",
        phrases::describe_cost(&plan.cost)
    );
}

/// Writes the notices that a reader needs first.
fn notices(plan: &Plan, page: &mut String) {
    let totals = &plan.totals;
    let alerts = [
        ("bad", phrases::failed_listing_notice(totals)),
        ("warn", phrases::unproven_removals_notice(totals)),
        ("warn", phrases::pending_approval_notice(totals)),
    ];
    let alerts: Vec<_> = alerts.iter().filter_map(|(kind, text)| Some((kind, text.as_ref()?))).collect();
    if alerts.is_empty() && plan.remarks.is_empty() {
        return;
    }
    *page += "<section class=\"notices\" aria-label=\"Before you read on\">\n<ul>\n";
    for (kind, text) in alerts {
        let _ = writeln!(page, "<li class=\"{kind}\"><span class=\"sign\" aria-hidden=\"true\">!</span> {text}</li>");
    }
    for remark in &plan.remarks {
        let _ = writeln!(page, "<li><span class=\"sign\" aria-hidden=\"true\">i</span> {}</li>", Html(remark));
    }
    *page += "</ul>\n</section>\n";
}

/// Writes the search field, hidden until the script shows it.
fn search(plan: &Plan, page: &mut String) {
    let _ = writeln!(
        page,
        "<search class=\"search\" hidden>\n<label for=\"search\">Find a member or a resource</label>\n\
         <input id=\"search\" type=\"search\" autocomplete=\"off\" spellcheck=\"false\" aria-describedby=\"found\">\n\
         <p id=\"found\" role=\"status\">{}</p>\n</search>",
        count(plan.resources.len(), "resource")
    );
}

fn section(plan: &Plan, urgency: Urgency, id: &str, page: &mut String) {
    let resources = phrases::of_urgency(plan, urgency);
    let all = resources.clone().count();
    if all == 0 {
        return;
    }
    let title = urgency.title();
    let _ = writeln!(
        page,
        "<section class=\"part\" aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{title} <span class=\"count\">{}</span></h2>",
        number(all)
    );
    // A page with thousands of unfolded resources is hard to read.
    let many = all > card::MANY;
    resources
        .enumerate()
        .for_each(|(index, resource)| card::write(resource, plan.before, &format!("{id}-{index}"), many, page));
    *page += "</section>\n";
}

/// Writes the resources without changes, in one line that unfolds.
fn quiet(plan: &Plan, page: &mut String) {
    let resources = phrases::of_urgency(plan, Urgency::Quiet);
    let all = resources.clone().count();
    if all == 0 {
        return;
    }
    let _ = writeln!(
        page,
        "<details class=\"quiet part\">\n<summary><h2>{} <span class=\"count\">{}</span></h2></summary>\n<ul>",
        Urgency::Quiet.title(),
        number(all)
    );
    resources.for_each(|resource| quiet_line(resource, plan.before, page));
    *page += "</ul>\n</details>\n";
}

fn quiet_line(resource: &ResourcePlan, before: Before, page: &mut String) {
    let _ = write!(page, "<li class=\"found-by\"><bdi>{}</bdi>", Html(&resource.resource));
    if let Some(change) = phrases::describe_change(resource.change, before) {
        let _ = write!(page, " <span class=\"tag\">{change}</span>");
    }
    if let Some(counts) = resource.counts {
        let _ = write!(
            page,
            " <span class=\"soft\">{} of {} present</span>",
            number(counts.present),
            number(counts.desired)
        );
    }
    *page += "</li>\n";
}
