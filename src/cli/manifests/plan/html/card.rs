//! The card of one resource on the page.

use std::fmt::Write as _;

use super::super::escaping::Html;
use super::super::lists::{self, Kind, List};
use super::super::phrases::{self, number};
use crate::api::PendingApproval;
use crate::offline::plan::{Before, ResourcePlan};

/// The number of resources above which long lists are folded.
pub(super) const MANY: usize = 50;

/// The longest list that is shown unfolded, name by name.
const FEW: usize = 24;

/// Writes a card; `id` comes from the page and not from a plan.
pub(super) fn write(plan: &ResourcePlan, before: Before, id: &str, many: bool, page: &mut String) {
    let _ = writeln!(page, "<article class=\"card found-by\" aria-labelledby=\"{id}\">\n<header>");
    title(plan, before, id, page);
    facts(plan, page);
    *page += "</header>\n";
    if let Some(error) = &plan.error {
        note("bad", "Could not be listed", error, page);
    }
    if let Some(conflict) = &plan.conflict {
        note("bad", conflict.reason.as_str(), &conflict.message, page);
    }
    let lists = lists::member_lists(plan);
    for list in &lists {
        match (list.kind, &plan.pending_approval, &plan.waiting) {
            (Kind::PendingApproval, Some(pending), _) => write_pending_approval(plan, pending, list, page),
            (Kind::Later, _, Some(waiting)) => {
                names(list, many, page);
                let _ = writeln!(page, "<p class=\"why\">Removed later: {}</p>", Html(&waiting.why));
            }
            (Kind::Refused, ..) => refused(list, page),
            _ => names(list, many, page),
        }
    }
    for remark in &plan.remarks {
        let _ = writeln!(page, "<p class=\"why\">{}</p>", Html(remark));
    }
    *page += "</article>\n";
}

fn title(plan: &ResourcePlan, before: Before, id: &str, page: &mut String) {
    let (namespace, name) = plan.resource.split_at(plan.resource.find('/').map_or(0, |slash| slash + 1));
    let _ =
        write!(page, "<h3 id=\"{id}\"><bdi><span class=\"soft\">{}</span>{}</bdi></h3>", Html(namespace), Html(name));
    if let Some(change) = phrases::describe_change(plan.change, before) {
        let _ = write!(page, " <span class=\"tag\">{change}</span>");
    }
    *page += "\n";
}

fn facts(plan: &ResourcePlan, page: &mut String) {
    let id = plan.channel_arn.rsplit('/').next().unwrap_or_default();
    let _ = writeln!(
        page,
        "<ul class=\"facts\">\n<li><details class=\"arn\"><summary>channel <b>{}</b></summary>\n<p><code>{}</code></p>",
        Html(id),
        Html(&plan.channel_arn)
    );
    if let Some(bearer) = &plan.bearer {
        let _ = writeln!(page, "<p>bearer <code>{}</code></p>", Html(bearer));
    }
    *page += "</details></li>\n";
    if let Some(counts) = plan.counts {
        let _ = writeln!(
            page,
            "<li><b>{}</b> of <b>{}</b> declared members are present</li>",
            number(counts.present),
            number(counts.desired)
        );
        if counts.undeclared > 0 {
            let _ = writeln!(page, "<li><b>{}</b> undeclared</li>", number(counts.undeclared));
        }
    }
    let _ = writeln!(page, "<li>{}</li>\n<li>prune: {:?}</li>", plan.membership_type, plan.prune);
    if let Some(place) = &plan.place {
        let _ = writeln!(page, "<li><bdi>{}</bdi></li>", Html(place));
    }
    *page += "</ul>\n";
}

fn note(kind: &str, title: &str, text: &str, page: &mut String) {
    let _ = writeln!(
        page,
        "<div class=\"note {kind}\"><h4><span class=\"sign\" aria-hidden=\"true\">!</span> {title}</h4>\n<p>{}</p></div>",
        Html(text)
    );
}

/// Writes the changes that need approval, the reasons, and the command that approves them.
fn write_pending_approval(plan: &ResourcePlan, pending: &PendingApproval, list: &List<'_>, page: &mut String) {
    let _ = writeln!(
        page,
        "<div class=\"note warn\">\n<h4><span class=\"sign\" aria-hidden=\"true\">‖</span> Pending approval</h4>\n<p>{}.</p>",
        Html(&phrases::approval_reasons(pending))
    );
    for (sign, title) in [('-', "would be removed"), ('+', "would be added"), ('?', "of unknown direction")] {
        let members: Vec<_> = list.members.iter().copied().filter(|member| member.sign == sign).collect();
        let title = format!("{} {title}", number(members.len()));
        let kind = if sign == '-' { Kind::Remove } else { Kind::Add };
        if !members.is_empty() {
            names(&List { kind, title, members }, false, page);
        }
    }
    let hash = Html(&pending.hash);
    let _ = if pending.approved {
        writeln!(page, "<p>It is approved, with the hash <code>{hash}</code>.</p>")
    } else {
        let command = phrases::approve_command(&plan.resource, pending);
        writeln!(
            page,
            "<p>{} <code>{hash}</code>:</p>\n<pre class=\"command\"><code>{}</code></pre>",
            phrases::TO_APPROVE,
            Html(&command)
        )
    };
    *page += "</div>\n";
}

/// Writes the members that are not added, each with the service's message.
fn refused(list: &List<'_>, page: &mut String) {
    open(list, list.members.len() <= FEW, page);
    *page += "<dl class=\"problems\">\n";
    for member in &list.members {
        let why = member.problem.map(lists::describe_problem).unwrap_or_default();
        let _ = writeln!(page, "<div><dt>{}</dt><dd>{}</dd></div>", Html(member.name), Html(&why));
    }
    *page += "</dl>\n</details>\n";
}

/// Writes names: a few as a list, many as one text, which a browser renders at once and people can
/// copy.
fn names(list: &List<'_>, many: bool, page: &mut String) {
    let few = list.members.len() <= FEW;
    open(list, few && !(many && list.kind == Kind::Stay), page);
    if few {
        *page += "<ul class=\"names\">";
        list.members.iter().for_each(|member| {
            let _ = write!(page, "<li><bdi>{}</bdi></li>", Html(member.name));
        });
        *page += "</ul>\n";
    } else {
        *page += "<pre class=\"names\">";
        list.members.iter().for_each(|member| {
            let _ = writeln!(page, "{}", Html(member.name));
        });
        *page += "</pre>\n";
    }
    *page += "</details>\n";
}

fn open(list: &List<'_>, unfolded: bool, page: &mut String) {
    let (class, sign) = match list.kind {
        Kind::Remove => ("remove", "−"),
        Kind::Later => ("later", "−"),
        Kind::Add => ("add", "+"),
        Kind::Refused => ("refused", "!"),
        Kind::PendingApproval => ("pending-approval", "‖"),
        Kind::Stay => ("stay", "="),
    };
    let open = if unfolded { " open" } else { "" };
    let _ = writeln!(
        page,
        "<details class=\"list {class}\"{open}><summary><span class=\"sign\" aria-hidden=\"true\">{sign}</span> {}</summary>",
        Html(&list.title)
    );
}
