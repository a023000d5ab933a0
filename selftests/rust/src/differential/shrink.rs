// SPDX-License-Identifier: GPL-2.0

//! Makes a list that fails smaller, for as long as it still fails.

use anyhow::Result;

/// Leaves out parts of `list`, first large ones, and then puts simpler items in the place of others.
/// `fails` tries a list. The result fails, and fails no more without any one of its items, unless
/// `tries` were not enough.
pub fn shrink<T: Clone>(
    list: Vec<T>,
    simpler: impl Fn(&T) -> Vec<T>,
    tries: u32,
    fails: impl FnMut(&[T]) -> Result<bool>,
) -> Result<Vec<T>> {
    let mut search = Search { list, tries, fails };
    loop {
        let shorter = search.leave_out()?;
        let simpler = search.simplify(&simpler)?;
        if !shorter && !simpler {
            return Ok(search.list);
        }
    }
}

struct Search<T, F> {
    list: Vec<T>,
    tries: u32,
    fails: F,
}

impl<T: Clone, F: FnMut(&[T]) -> Result<bool>> Search<T, F> {
    /// Takes `other` for the list if it fails too.
    fn try_it(&mut self, other: Vec<T>) -> Result<bool> {
        if self.tries == 0 {
            return Ok(false);
        }
        self.tries -= 1;
        let fails = (self.fails)(&other)?;
        if fails {
            self.list = other;
        }
        Ok(fails)
    }

    fn leave_out(&mut self) -> Result<bool> {
        let (mut changed, mut size) = (false, self.list.len().div_ceil(2));
        while size > 0 {
            let mut start = 0;
            while start < self.list.len() {
                let end = (start + size).min(self.list.len());
                let rest = [&self.list[..start], &self.list[end..]].concat();
                if self.try_it(rest)? {
                    changed = true;
                } else {
                    start = end;
                }
            }
            size /= 2;
        }
        Ok(changed)
    }

    fn simplify(&mut self, simpler: &impl Fn(&T) -> Vec<T>) -> Result<bool> {
        let mut changed = false;
        for place in 0..self.list.len() {
            for item in simpler(&self.list[place]) {
                let mut other = self.list.clone();
                other[place] = item;
                changed |= self.try_it(other)?;
            }
        }
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::shrink;

    fn halves(number: &u32) -> Vec<u32> {
        (*number > 1).then_some(number / 2).into_iter().collect()
    }

    #[test]
    fn what_does_not_matter_goes() {
        let needed =
            |list: &[u32]| Ok(list.contains(&7) && list.iter().any(|&number| number >= 40));
        let smallest = shrink((0..100).collect(), halves, 1000, needed).expect("no error");
        assert_eq!(smallest, [7, 49]);
    }

    #[test]
    fn the_tries_have_an_end() {
        let mut tried = 0;
        let all = shrink((0..100).collect(), halves, 3, |_| {
            tried += 1;
            Ok(false)
        });
        assert_eq!(all.expect("no error").len(), 100);
        assert_eq!(tried, 3);
    }
}
