use std::os::unix::fs::{PermissionsExt as _, symlink};

use tempfile::TempDir;

use super::*;

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.yaml");
    (folder, path)
}

fn body(text: &str) -> Vec<Arc<str>> {
    vec![super::super::state_text::list(true).into(), text.into()]
}

fn written(path: &Path, text: &str) -> String {
    StateFile::open(path).unwrap().replace(&body(text)).unwrap();
    fs::read_to_string(path).unwrap()
}

fn names(folder: &TempDir) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn state_is_created_if_absent_and_holds_the_last_text() {
    let (folder, path) = folder();
    assert!(!StateFile::exists(&path).unwrap());
    let mut file = StateFile::open(&path).unwrap();
    assert!(StateFile::exists(&path).unwrap());
    for text in ["- a\n", "- b\n"] {
        file.replace(&body(text)).unwrap();
        assert!(fs::read_to_string(&path).unwrap().ends_with(text));
    }
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(names(&folder), ["state.yaml"], "nothing else is left behind");
}

#[test]
fn state_has_one_writer_before_and_after_it_is_replaced() {
    let (_folder, path) = folder();
    let mut first = StateFile::open(&path).unwrap();
    assert!(matches!(StateFile::open(&path), Err(StateError::Locked(_))));
    let before = File::open(&path).unwrap();
    first.replace(&body("- a\n")).unwrap();
    assert!(matches!(StateFile::open(&path), Err(StateError::Locked(_))));
    // A process that opened the file before it was replaced gets a useless lock and tries again.
    before.lock().unwrap();
    assert!(!is_same_file(&path, &before) && is_same_file(&path, &first.lock));
    drop(first);
    assert!(StateFile::open(&path).is_ok());
}

#[test]
fn one_of_many_processes_creates_the_state() {
    let (_folder, path) = folder();
    let threads: Vec<_> = (0..16)
        .map(|_| {
            let path = path.clone();
            std::thread::spawn(move || StateFile::open(&path).ok())
        })
        .collect();
    let open: Vec<StateFile> = threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect();
    assert_eq!(open.len(), 1);
}

#[test]
fn truncated_or_edited_state_is_refused_and_unchanged() {
    let (_folder, path) = folder();
    let whole = written(&path, "- abc\n- def\n");
    let cuts = (0..whole.len()).filter(|at| whole.is_char_boundary(*at)).map(|at| whole[..at].to_owned());
    let edits = [whole.replace("abc", "abd"), whole.replace("- def\n", ""), format!("{whole}- more\n")];
    for text in cuts.chain(edits) {
        fs::write(&path, &text).unwrap();
        let error = StateFile::open(&path).unwrap_err();
        assert!(matches!(error, StateError::Damaged(_)), "{text:?}: {error}");
        assert!(StateFile::exists(&path).is_err());
        assert!(error.to_string().contains("state.yaml") && !error.to_string().contains('\n'));
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    fs::write(&path, &whole).unwrap();
    assert!(StateFile::open(&path).is_ok());
}

#[test]
fn edited_state_without_its_first_line_is_accepted() {
    let (_folder, path) = folder();
    let text = written(&path, "- abc\n").replace("abc", "abd");
    fs::write(&path, text.split_once('\n').unwrap().1).unwrap();
    assert!(StateFile::open(&path).is_ok());
}

#[test]
fn state_of_another_format_is_refused_and_unchanged() {
    let (_folder, path) = folder();
    let text = written(&path, "- abc\n").replace("format 1,", "format 2,");
    fs::write(&path, &text).unwrap();
    let error = StateFile::open(&path).unwrap_err().to_string();
    assert!(error.contains("format 2") && error.contains("knows 1"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn file_left_by_a_killed_process_is_replaced() {
    let (folder, path) = folder();
    let text = written(&path, "- abc\n");
    fs::write(folder.path().join(".state.yaml.new"), &text[..20]).unwrap();
    StateFile::open(&path).unwrap().replace(&body("- def\n")).unwrap();
    assert!(fs::read_to_string(&path).unwrap().ends_with("- def\n"));
    assert_eq!(names(&folder), ["state.yaml"]);
}

#[test]
fn failed_write_leaves_the_old_state() {
    let (folder, path) = folder();
    let text = written(&path, "- abc\n");
    let mut file = StateFile::open(&path).unwrap();
    fs::create_dir(folder.path().join(".state.yaml.new")).unwrap();
    let error = file.replace(&body("- def\n")).unwrap_err().to_string();
    assert!(error.contains("failed to write the state") && error.contains("state.yaml"), "{error}");
    drop(file);
    assert!(StateFile::open(&path).is_err(), "the fault is found before anything is done");
    let large: Arc<str> = "x".repeat(usize::try_from(MAX_FILE_BYTES).unwrap()).into();
    fs::remove_dir(folder.path().join(".state.yaml.new")).unwrap();
    let error = StateFile::open(&path).unwrap().replace(&[large]).unwrap_err();
    assert!(matches!(error, StateError::TooLarge { .. }), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn link_to_a_state_stays_a_link() {
    let (folder, path) = folder();
    let link = folder.path().join("link.yaml");
    written(&path, "- abc\n");
    symlink(&path, &link).unwrap();
    StateFile::open(&link).unwrap().replace(&body("- def\n")).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(fs::read_to_string(&path).unwrap().ends_with("- def\n"));
    assert!(matches!(StateFile::open(&folder.path().join("no/such")), Err(StateError::Io { .. })));
}
