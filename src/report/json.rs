//! The same facts for programs, as one JSON document. `docs/report.md` has each field, its unit, and what
//! is promised of it.

use serde::{Deserialize, Serialize};

use super::ReportError;
use super::run::{RunReport, Status};

/// The version of the document. It grows when a field changes its meaning or goes; a new field does not
/// make a new version, so a reader must ignore what it does not know.
pub const FORMAT: u32 = 1;

/// The document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// [`FORMAT`].
    pub format: u32,
    /// The version of firedrill that wrote the document (a record may be older).
    pub firedrill: String,
    /// The worst of the runs.
    pub verdict: Status,
    /// What the program exits with.
    pub exit_code: u8,
    /// In the order of the report.
    pub runs: Vec<RunReport>,
}

/// The runs as a document, pretty-printed, with a line end. `exit_code` is the program's.
pub fn render(runs: &[RunReport], exit_code: u8) -> Result<String, ReportError> {
    let document = Document {
        format: FORMAT,
        firedrill: env!("CARGO_PKG_VERSION").into(),
        verdict: Status::worst(runs.iter().map(|run| run.verdict)),
        exit_code,
        runs: runs.to_vec(),
    };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::specimen;

    #[test]
    fn a_document_reads_back_as_what_was_written() {
        let runs = [specimen::failed(), specimen::passed(), RunReport::broke_off("x", "x", "y")];
        let document: Document = serde_json::from_str(&render(&runs, 1).unwrap()).unwrap();
        assert_eq!(document.runs, runs);
        assert_eq!((document.format, document.exit_code, document.verdict), (1, 1, Status::Fail));
    }

    #[test]
    fn no_runs_are_inconclusive() {
        let document: Document = serde_json::from_str(&render(&[], 3).unwrap()).unwrap();
        assert_eq!(document.verdict, Status::Inconclusive);
    }

    #[test]
    fn the_page_shows_a_document_as_it_is() {
        let page = include_str!("../../docs/report.md").replace("\r\n", "\n");
        let shown = page.split_once("```json\n").and_then(|(_, rest)| rest.split_once("```"));
        let document = render(&[specimen::failed()], 1).unwrap();
        assert_eq!(
            shown.map(|(json, _)| json),
            Some(document.as_str()),
            "write it to docs/report.md"
        );
    }
}
