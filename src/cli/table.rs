//! Tables for people.

use crate::domain::time::Timestamp;

/// Lines with columns of even width.
pub(super) fn table<const N: usize>(heads: [&str; N], rows: Vec<[String; N]>) -> String {
    let mut all = vec![heads.map(str::to_owned)];
    all.extend(rows);
    let widths: Vec<usize> = (0..N)
        .map(|column| {
            let lengths = all.iter().map(|row| row[column].chars().count());
            lengths.max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in &all {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// One fact a line.
pub(super) fn facts(facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.chars().count()).max();
    let width = width.unwrap_or(0);
    facts
        .iter()
        .map(|(name, value)| format!("{:<width$}  {value}", name).trim_end().to_owned() + "\n")
        .collect()
}

/// To the minute, which is enough for people; JSON has it all.
pub(super) fn minute(moment: Timestamp) -> String {
    moment.floor_to(60).to_string()
}

/// What there is of it, separated by commas.
pub(super) fn or_none(items: &[String]) -> String {
    match items.is_empty() {
        true => "none".to_owned(),
        false => items.join(", "),
    }
}
