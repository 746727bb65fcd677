//! A page with explanations: self-contained, without scripts and outside references.

use std::fmt::Write as _;

use super::Explanation;
use super::cycle;
use super::svg::{self, escaped};
use super::timeline::{self, Timeline};
use super::units::{instant, span};

const STYLE: &str = "\
:root{color-scheme:light dark}body{font-family:sans-serif;margin:2em}\
figure{overflow-x:auto;margin:1em 0}pre{white-space:pre-wrap}\
td,th{text-align:left;padding:.1em 1em .1em 0;font-variant-numeric:tabular-nums}";

/// The page.
pub fn html(title: &str, sentence: &str, explanations: &[Explanation]) -> String {
    let (title, sentence) = (escaped(title), escaped(sentence));
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/><title>{title}</title>\n\
         <style>{STYLE}</style></head>\n<body><h1>{title}</h1>\n<p>{sentence}</p>\n"
    );
    for explanation in explanations {
        let (drawn, text) = match explanation {
            Explanation::Timeline(told) => (svg::timeline(told), timeline::text(told)),
            Explanation::Cycle(told) => (svg::cycle(told), cycle::text(told)),
        };
        let _ = writeln!(page, "<figure>\n{drawn}</figure>\n<pre>{}</pre>", lines(&text));
        if let Explanation::Timeline(told) = explanation {
            table(&mut page, told);
        }
    }
    page + "</body></html>\n"
}

fn lines(text: &str) -> String {
    text.lines().map(|line| escaped(line) + "\n").collect()
}

fn table(page: &mut String, told: &Timeline) {
    let lined = told.operations.iter().any(|op| op.line.is_some());
    let cells = |cells: &[&str], tag: &str| {
        let cells = cells.iter().map(|cell| format!("<{tag}>{cell}</{tag}>")).collect::<String>();
        format!("<tr>{cells}</tr>\n")
    };
    let mut head = vec!["process", "operation", "invoked", "took", "place"];
    head.extend(lined.then_some("line"));
    let _ = writeln!(page, "<table><thead>{}</thead><tbody>", cells(&head, "th").trim_end());
    let start = told.operations.iter().map(|op| op.invoked).min().unwrap_or(0);
    for (at, op) in told.operations.iter().enumerate() {
        let took = op.returned.map_or("unknown".to_owned(), |t| span(t.saturating_sub(op.invoked)));
        let place = told.order.iter().position(|p| p.operation == at);
        let place = place.map_or("none".to_owned(), |place| (place + 1).to_string());
        let (process, label) = (op.process.to_string(), escaped(&op.label));
        let invoked = format!("+{}", instant(op.invoked - start));
        let line = op.line.map_or_else(String::new, |line| line.to_string());
        let mut row: Vec<&str> = vec![&process, &label, &invoked, &took, &place];
        row.extend(lined.then_some(line.as_str()));
        *page += &cells(&row, "td");
    }
    *page += "</tbody></table>\n";
}
