//! Text of other people on a terminal.
//!
//! # Security
//! A message may hold escape sequences, bidirectional overrides or line breaks that draw somebody
//! else's line. What is shown holds none of them, and stands in an isolate of its own direction,
//! so that Urdu reads from the right and the rest of the line stays where it is.

/// U+2068 FIRST STRONG ISOLATE.
const FIRST_STRONG_ISOLATE: char = '\u{2068}';
/// U+2069 POP DIRECTIONAL ISOLATE.
const POP_ISOLATE: char = '\u{2069}';

/// One line of somebody's text, isolated.
pub fn isolate(line: &str) -> String {
    let mut out = String::with_capacity(line.len() + 6);
    out.push(FIRST_STRONG_ISOLATE);
    out.extend(line.chars().map(shown));
    out.push(POP_ISOLATE);
    out
}

/// Somebody's text as lines, each isolated; a tab counts as four spaces.
pub fn lines(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| isolate(&line.replace('\t', "    ")))
        .collect()
}

/// Somebody's text on a line of its own that needs no direction: errors, a node's answers.
pub fn clean(text: &str) -> String {
    text.lines()
        .map(|line| line.chars().map(shown).collect::<String>())
        .collect::<Vec<_>>()
        .join(" ")
}

/// JSON that no terminal takes for commands: what is not harmless is escaped. A reader gets the
/// same value, since such characters stand in strings only.
pub fn escape_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_harmless(c) {
            out.push(c);
        } else {
            let mut units = [0; 2];
            out.extend(
                c.encode_utf16(&mut units)
                    .iter()
                    .map(|unit| format!("\\u{unit:04x}")),
            );
        }
    }
    out
}

fn shown(c: char) -> char {
    if is_harmless(c) { c } else { '\u{FFFD}' }
}

/// Joiners and marks that Urdu needs stay; controls, bidirectional controls and separators go.
fn is_harmless(c: char) -> bool {
    let bidi = matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    let separator = matches!(c, '\u{2028}' | '\u{2029}');
    let tag = matches!(c, '\u{E0000}'..='\u{E007F}');
    !(c.is_control() || bidi || separator || tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Urdu keeps its letters and joiners and gets a direction of its own.
    #[test]
    fn urdu_stays_as_it_is() {
        let text = "آپ کیسے ہیں؟ می\u{200C}روم";
        assert_eq!(isolate(text), format!("\u{2068}{text}\u{2069}"));
    }

    /// A stranger's message can't move the cursor, colour the screen, turn the line around or
    /// end the isolate it stands in.
    #[test]
    fn controls_are_replaced() {
        for hostile in [
            "\u{1b}[2J",
            "\u{202e}exe",
            "a\u{2069}b",
            "\u{9b}31m",
            "a\u{2028}b",
            "\u{7}",
        ] {
            let shown = isolate(hostile);
            let inner = &shown['\u{2068}'.len_utf8()..shown.len() - '\u{2069}'.len_utf8()];
            assert!(inner.chars().all(is_harmless), "{hostile:?}");
            assert!(inner.contains('\u{FFFD}'), "{hostile:?}");
        }
    }

    /// A program gets every character of a hostile text, a terminal none that it obeys.
    #[test]
    fn json_is_escaped_and_keeps_its_value() {
        let hostile = "\u{9b}2J\u{202e}\u{7f}\u{E0041}\n آپ کیسے ہیں؟";
        let json = escape_json(&serde_json::json!({ "text": hostile }).to_string());
        assert!(json.chars().all(is_harmless), "{json}");
        assert!(json.contains("آپ کیسے ہیں؟"));
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["text"], hostile);
    }

    /// An error of a node stays on one line.
    #[test]
    fn errors_are_one_clean_line() {
        assert_eq!(clean("a\nb\u{1b}[1m"), "a b\u{FFFD}[1m");
    }

    /// Several lines stay several, each isolated.
    #[test]
    fn lines_are_isolated_one_by_one() {
        assert_eq!(lines("a\r\nب").len(), 2);
        assert!(
            lines("a\r\nب")
                .iter()
                .all(|line| line.ends_with(POP_ISOLATE))
        );
    }
}
