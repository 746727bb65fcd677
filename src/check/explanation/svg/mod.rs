//! Explanations as SVG: standalone, light and dark, no scripts. Text is monospaced, so that its width can be estimated.

mod cycle;
mod timeline;

use std::fmt::Write as _;

pub use cycle::cycle;
pub use timeline::timeline;

/// A character's width and a line's height, in pixels, at 12 px: of the common monospaced fonts, or more.
const CHAR: f64 = 7.4;
const LINE: f64 = 16.0;
/// Longer texts are cut in the picture; they are whole in the tooltip.
const LONGEST: usize = 60;

/// Colours by name: light, dark. Blue and orange are told apart by almost all; dashes and widths tell the same.
const COLOURS: [(&str, &str, &str); 8] = [
    ("@ink", "#1b1b1b", "#eeeeee"),
    ("@paper", "#ffffff", "#161616"),
    ("@soft", "#6b6b6b", "#a5a5a5"),
    ("@bar", "#cfe3f5", "#1d3b55"),
    ("@edge", "#0060a0", "#6cb8f0"),
    ("@bad", "#c04000", "#ff9d5c"),
    ("@band", "#fbe3d6", "#4a2a18"),
    ("@fault", "#e6dbf0", "#43345a"),
];

const RULES: &str = "\
text{font:12px 'DejaVu Sans Mono',Menlo,Consolas,monospace;fill:@ink;white-space:pre;\
paint-order:stroke;stroke:@paper;stroke-width:3px;stroke-linejoin:round}\
.paper{fill:@paper}.soft{fill:@soft}.bar{fill:@bar;stroke:@edge}.fade{fill:@bar}\
.open{stroke-dasharray:4 3}\
.stuck{fill:@band;stroke:@bad;stroke-width:3}.later{fill:none;stroke:@soft;stroke-dasharray:2 2}\
.band{fill:@band;stroke:@bad;stroke-dasharray:6 3}.fault{fill:@fault;stroke:@ink}\
.line{fill:none;stroke:@edge;stroke-width:1.5}.grid{stroke:@soft;stroke-width:.5;fill:none}\
.dot{fill:@paper;stroke:@edge;stroke-width:1.5}.strong{font-weight:bold}.mid{text-anchor:middle}\
.back{stroke:@bad;stroke-width:2.5}.tip{fill:@edge}.bad{fill:@bad}";

/// The rules twice, with the colours written out: not all viewers know variables.
fn style() -> String {
    let (mut light, mut dark) = (RULES.to_owned(), RULES.to_owned());
    for (name, bright, dim) in COLOURS {
        light = light.replace(&format!("{name};"), &format!("{bright};"));
        light = light.replace(&format!("{name}}}"), &format!("{bright}}}"));
        dark = dark.replace(&format!("{name};"), &format!("{dim};"));
        dark = dark.replace(&format!("{name}}}"), &format!("{dim}}}"));
    }
    format!("{light}@media(prefers-color-scheme:dark){{{dark}}}")
}

/// Text for XML. What XML does not allow, and what turns the direction of writing, is shown by its number.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if hidden(c) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

fn hidden(c: char) -> bool {
    let number = u32::from(c);
    let turns = matches!(number, 0x200e | 0x200f | 0x2028..=0x202e | 0x2066..=0x2069);
    c.is_control() || turns || matches!(number, 0xfffe | 0xffff)
}

/// What a text takes, in pixels, at most.
fn width(text: &str) -> f64 {
    let of = |c: char| match c {
        c if hidden(c) => 10.0,
        c if c.is_ascii() => 1.0,
        _ => 2.0,
    };
    CHAR * text.chars().map(of).sum::<f64>()
}

fn short(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST - 3).chain("...".chars()).collect()
}

/// Words in lines of at most [`LONGEST`] characters; a longer word is broken.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let mut line = lines.pop().unwrap_or_default();
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > LONGEST {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        for c in word.chars() {
            if line.chars().count() == LONGEST {
                lines.push(std::mem::take(&mut line));
            }
            line.push(c);
        }
        lines.push(line);
    }
    lines
}

/// A text's place: left, top, width.
#[derive(Debug, Clone, Copy)]
#[cfg(test)]
pub(super) struct TextBox {
    left: f64,
    top: f64,
    width: f64,
}

/// A picture in the making. It grows with what is drawn.
#[derive(Default)]
pub(super) struct Canvas {
    body: String,
    #[cfg(test)]
    texts: Vec<TextBox>,
    right: f64,
    bottom: f64,
}

impl Canvas {
    fn grow(&mut self, x: f64, y: f64) {
        self.right = self.right.max(x);
        self.bottom = self.bottom.max(y);
    }

    /// A line of text; `y` is its base line. `mid` in the class: `x` is its middle.
    fn text(&mut self, x: f64, y: f64, class: &str, text: &str) {
        let wide = width(text);
        let left = if class.contains("mid") { x - wide / 2.0 } else { x };
        #[cfg(test)]
        self.texts.push(TextBox { left, top: y - 12.0, width: wide });
        self.grow(left + wide, y + 4.0);
        let text = escaped(text);
        let _ =
            writeln!(self.body, "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">{text}</text>");
    }

    fn rect(&mut self, (x, y, w, h): (f64, f64, f64, f64), class: &str, title: &str) {
        self.grow(x + w, y + h);
        let _ = writeln!(
            self.body,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" rx=\"2\" \
             class=\"{class}\"><title>{}</title></rect>",
            escaped(title)
        );
    }

    fn path(&mut self, path: &str, class: &str) {
        let _ = writeln!(self.body, "<path d=\"{path}\" class=\"{class}\"/>");
    }

    fn done(self, title: &str, sentence: &str) -> String {
        let (wide, high) = ((self.right + 16.0).ceil(), (self.bottom + 16.0).ceil());
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" \
             width=\"{wide}\" height=\"{high}\" viewBox=\"0 0 {wide} {high}\">\n\
             <title>{}</title>\n<desc>{}</desc>\n<style>{}</style>\n\
             <rect width=\"{wide}\" height=\"{high}\" class=\"paper\"/>\n{}</svg>\n",
            escaped(title),
            escaped(sentence),
            style(),
            self.body
        )
    }

    /// Two texts that lie over each other, or one beyond the left or upper edge.
    #[cfg(test)]
    pub(super) fn clash(&self) -> Option<(TextBox, TextBox)> {
        let all = &self.texts;
        let over = |a: &TextBox, b: &TextBox| {
            a.left < b.left + b.width && b.left < a.left + a.width && (a.top - b.top).abs() < 12.0
        };
        if let Some(out) = all.iter().find(|t| t.left < 0.0 || t.top < 0.0) {
            return Some((*out, *out));
        }
        let pairs = (0..all.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
        pairs.map(|(i, j)| (all[i], all[j])).find(|(a, b)| over(a, b))
    }
}

#[cfg(test)]
pub(super) use {cycle::draw as draw_cycle, timeline::draw as draw_timeline};
