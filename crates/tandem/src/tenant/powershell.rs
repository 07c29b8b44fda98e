//! Texts inside a PowerShell script.
//!
//! A name comes from a settings file and may hold anything. In PowerShell the curly quotes of Unicode end a quoted text
//! like straight ones do, and Windows PowerShell reads a script without byte order mark in the code page of the machine, so that
//! bytes of a harmless letter may turn into such a quote. Hence a script is ASCII throughout: what is no printable
//! ASCII is written as its number, and the rest stands between straight single quotes, where nothing is expanded.

use std::fmt::Write as _;

/// An expression that has exactly this value.
pub(super) fn literal(text: &str) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut plain = String::new();
    for unit in text.encode_utf16() {
        match u8::try_from(unit).ok().filter(|byte| (0x20..0x7f).contains(byte)) {
            Some(b'\'') => plain.push_str("''"),
            Some(byte) => plain.push(char::from(byte)),
            None => {
                // a text in front makes the sum a text
                if !plain.is_empty() || parts.is_empty() {
                    parts.push(format!("'{plain}'"));
                    plain.clear();
                }
                let mut number = String::new();
                let _ = write!(number, "[char]0x{unit:04X}");
                parts.push(number);
            }
        }
    }
    if !plain.is_empty() || parts.is_empty() {
        parts.push(format!("'{plain}'"));
    }
    if parts.len() == 1 { parts.concat() } else { format!("({})", parts.join(" + ")) }
}

/// A text for a comment: nothing in it can end the line.
pub(super) fn comment(text: &str) -> String {
    text.chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What PowerShell makes of such an expression, for the few forms that [`literal`] writes.
    fn value(expression: &str) -> String {
        let inner =
            expression.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(expression);
        let mut units = Vec::new();
        let mut rest = inner;
        while !rest.is_empty() {
            if let Some(number) = rest.strip_prefix("[char]0x") {
                units.push(u16::from_str_radix(&number[..4], 16).expect("four hexadecimal digits"));
                rest = &number[4..];
            } else {
                rest = rest.strip_prefix('\'').expect("a quoted text begins");
                loop {
                    let (text, after) = rest.split_once('\'').expect("a quoted text ends");
                    units.extend(text.encode_utf16());
                    rest = after;
                    let Some(after) = rest.strip_prefix('\'') else { break };
                    units.push(u16::from(b'\''));
                    rest = after;
                }
            }
            rest = rest.strip_prefix(" + ").unwrap_or(rest);
        }
        String::from_utf16(&units).expect("what was encoded")
    }

    #[test]
    fn nothing_gets_out_of_its_quotes() {
        for text in [
            "",
            "Provider-US",
            "O'Neil's",
            "'; Remove-Item * #",
            "$(Get-Date) $env:PATH `n \"x\"",
            "two\nlines\r\n\t",
            "Zo\u{eb} \u{2018}curly\u{2019} \u{201a}\u{201b} \u{201c}double\u{201d}",
            "\u{d1}\u{1f600} astral",
            "\u{202e}reversed",
            "'",
            "--% -WhatIf:$false",
            "a)+(b",
        ] {
            let written = literal(text);
            assert!(written.bytes().all(|b| (0x20..0x7f).contains(&b)), "{written}");
            assert_eq!(value(&written), text, "{written}");
        }
    }

    #[test]
    fn forms() {
        assert_eq!(literal("Provider-US"), "'Provider-US'");
        assert_eq!(literal("O'Neil"), "'O''Neil'");
        assert_eq!(literal("a\nb"), "('a' + [char]0x000A + 'b')");
        assert_eq!(literal("\u{eb}"), "('' + [char]0x00EB)");
        assert_eq!(comment("a\nb \u{2029}#> c"), "a?b ?#> c");
    }
}
