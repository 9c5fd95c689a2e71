//! Misspelt words: which known one may be meant. Never changes what was said; that is for who said it.

/// The known word nearest to a misspelt one, when it is near enough to be meant.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let (distance, near) = known.iter().map(|candidate| (edits(&lower, candidate), *candidate)).min()?;
    let allowed = if near.len() <= 4 { 1 } else { 2 };
    let is_cut = lower.len() >= 3 && (near.starts_with(&lower) || lower.starts_with(near));
    (distance <= allowed || is_cut).then_some(near)
}

/// Least number of inserted, removed, changed or swapped neighbouring characters between two words.
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = changed.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(rows[i - 2][j - 2] + 1);
            }
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_suggested_and_others_are_not() {
        let known = ["image", "instances", "env", "network"];
        assert_eq!(nearest("imgae", &known), Some("image"));
        assert_eq!(nearest("Instance", &known), Some("instances"));
        assert_eq!(nearest("environment", &known), Some("env"));
        assert_eq!(nearest("replicas", &known), None);
        assert_eq!(nearest("", &known), None);
    }
}
