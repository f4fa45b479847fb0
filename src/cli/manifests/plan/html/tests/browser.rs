//! Tests of the page in a browser.
//!
//! They need Chromium; without it they print a line and do nothing. The browser reaches no other
//! machine.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

use tokio::process::Command;

use super::super::super::fixtures::{full_of, large, pending};
use super::super::{SCRIPT, html, with_script};
use crate::cli::manifests::plan::phrases::numbers;
use crate::offline::plan::Plan;

/// A script after the page's own: it searches as a person would, and writes the result into the
/// page.
const PERSON: &str = r#"
const seen = {};
seen.wide = document.documentElement.scrollWidth > window.innerWidth;
seen.weight = getComputedStyle(document.querySelector("h1")).fontWeight;
seen.searchable = !box.hidden;
input.value = "LEAVER-099";
search();
seen.found = found.textContent;
seen.shown = entries.filter((entry) => entry.checkVisibility()).length;
seen.unfolded = document.querySelectorAll("article:not([hidden]) details.remove[open]").length;
input.value = "";
search();
seen.all = found.textContent;
document.body.append(`SEEN ${JSON.stringify(seen)} END`);
"#;

/// A page after the browser has run it, and the browser's complaints.
struct Loaded {
    page: String,
    complaints: Vec<String>,
}

fn chromium() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let path = env::var_os("PATH")?;
    let found =
        env::split_paths(&path).flat_map(|folder| names.map(|name| folder.join(name))).find(|file| file.is_file());
    if found.is_none() {
        eprintln!("skipped: there is no Chromium (Debian: apt-get install chromium)");
    }
    found
}

async fn load(chromium: &Path, page: &str, width: u32) -> Loaded {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("plan.html");
    fs::write(&file, page).unwrap();
    let done = Command::new(chromium)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--dump-dom"])
        .arg(format!("--window-size={width},800"))
        .arg(format!("--user-data-dir={}", home.path().join("profile").display()))
        .arg(format!("file://{}", file.display()))
        .env("HOME", home.path())
        .env("XDG_CONFIG_HOME", home.path())
        .env("XDG_CACHE_HOME", home.path())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_mins(2), done).await.unwrap().unwrap();
    let (page, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(page.contains("</html>"), "Chromium ended with {}: {log}", output.status);
    let complaints = log.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect();
    Loaded { page: page.into_owned(), complaints }
}

/// Returns the sums in a page.
fn sums(page: &str) -> Vec<(String, String)> {
    let sums = page.split("data-sum=\"").skip(1);
    let sum = |rest: &str| {
        let (key, rest) = rest.split_once("\">")?;
        Some((key.to_owned(), rest.split_once('<')?.0.replace(',', "")))
    };
    sums.filter_map(sum).collect()
}

fn sums_of(plan: &Plan) -> Vec<(String, String)> {
    let told = numbers(&plan.totals).into_iter().filter(|sum| sum.count > 0 || ["add", "remove"].contains(&sum.key));
    told.map(|sum| (sum.key.to_owned(), sum.count.to_string())).collect()
}

#[tokio::test]
async fn browser_shows_the_totals_without_complaints() {
    let Some(chromium) = chromium() else { return };
    for plan in [pending(), full_of("<img src=x onerror=console.error(1)><script>console.error(2)</script>")] {
        let loaded = load(&chromium, &html(&plan), 1200).await;
        assert_eq!(loaded.complaints, Vec::<String>::new());
        assert_eq!(sums(&loaded.page), sums_of(&plan));
        assert_eq!(loaded.page.matches("<script>").count(), 1);
    }
}

#[tokio::test]
async fn page_of_1000_resources_can_be_searched_on_a_phone() {
    let Some(chromium) = chromium() else { return };
    let plan = large(1000, 100);
    let loaded = load(&chromium, &with_script(&plan, &format!("{SCRIPT}{PERSON}")), 360).await;
    assert_eq!(loaded.complaints, Vec::<String>::new());
    assert_eq!(sums(&loaded.page), sums_of(&plan));
    let (_, seen) = loaded.page.rsplit_once("SEEN ").unwrap();
    let seen: serde_json::Value = serde_json::from_str(seen.split_once(" END").unwrap().0).unwrap();
    let expected = serde_json::json!({
        "wide": false, "weight": "650", "searchable": true, "all": "1,000 resources",
        "found": "100 of 1,000 resources", "shown": 100, "unfolded": 0,
    });
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn page_without_script_lacks_only_the_search() {
    let Some(chromium) = chromium() else { return };
    let plan = pending();
    let page = html(&plan).replace(&format!("<script>{SCRIPT}</script>"), "");
    let loaded = load(&chromium, &page, 1200).await;
    assert_eq!(loaded.complaints, Vec::<String>::new());
    assert_eq!(sums(&loaded.page), sums_of(&plan));
    assert!(loaded.page.contains("<search class=\"search\" hidden=\"\">"), "{}", loaded.page);
}

/// The other tests depend on this: they would pass if the browser never complained.
#[tokio::test]
async fn browser_complains_about_forbidden_content() {
    let Some(chromium) = chromium() else { return };
    let intruder = "<img src=\"https://example.invalid/x.png\"><script>document.title = 'ran'</script></body>";
    let page = html(&pending()).replace("</body>", intruder);
    let loaded = load(&chromium, &page, 1200).await;
    assert_eq!(loaded.complaints.len(), 2, "{:?}", loaded.complaints);
    assert!(!loaded.page.contains("<title>ran"), "{}", loaded.page);
}
