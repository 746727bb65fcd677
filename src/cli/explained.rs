//! Pictures of what is wrong, as files: a page for each check that has one, and each picture by itself.

use std::fs;
use std::path::{Path, PathBuf};

use super::CliError;
use crate::check::explanation::html::html;
use crate::report::{CaseReport, RunReport};

/// Draws what can be drawn of a run into this folder: a page for each check. Each such case then says where its page
/// is.
pub(super) fn pages(report: &mut RunReport, folder: &Path) -> Result<(), CliError> {
    for case in report.cases.iter_mut().filter(|case| !case.explanations.is_empty()) {
        let page = folder.join(format!("{}.html", slug(&case.name)));
        write(&page, &rendered(&report.scenario, case))?;
        case.evidence.push(format!("drawn in {}", super::judged::shown(&page)));
    }
    Ok(())
}

/// The same for somebody who asked for it: beside each page stands each picture.
pub(super) fn all(reports: &mut [RunReport], folder: &Path) -> Result<(), CliError> {
    for report in reports {
        let own = slug(&report.scenario);
        for case in report.cases.iter_mut().filter(|case| !case.explanations.is_empty()) {
            let name = format!("{own}.{}", slug(&case.name));
            write(&folder.join(format!("{name}.html")), &rendered(&report.scenario, case))?;
            for (n, explanation) in (1..).zip(&case.explanations) {
                write(&folder.join(format!("{name}.{n}.svg")), &explanation.svg())?;
            }
        }
    }
    Ok(())
}

fn rendered(title: &str, case: &CaseReport) -> String {
    html(&format!("{title}: {}", case.name), &case.summary, &case.explanations)
}

fn write(path: &Path, text: &str) -> Result<(), CliError> {
    let folder = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(path, text));
    written.map_err(|source| CliError::write(path, source))
}

/// A name of letters, digits, `-`, `_` and `.` alone, for a file.
fn slug(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let slug: String = name.chars().map(plain).collect();
    slug.trim_start_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use super::slug;

    #[test]
    fn a_file_has_a_plain_name() {
        assert_eq!(slug("linearizable 2"), "linearizable-2");
        assert_eq!(slug("../a/b.edn"), "-a-b.edn");
    }
}
