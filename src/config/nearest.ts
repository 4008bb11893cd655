/** The candidate that a slip of the pen most likely meant: at most two letters away. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const [first] = candidates
    .filter(({ length }) => Math.abs(length - word.length) <= MOST_SLIPS)
    .map((candidate) => ({ candidate, distance: editDistance(word.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ distance }) => distance <= MOST_SLIPS)
    .toSorted((a, b) => a.distance - b.distance)
  return first?.candidate
}

const MOST_SLIPS = 2

/** Levenshtein's: letters added, left out or changed. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, at) => at)
  for (const [above, letter] of from.split('').entries()) {
    const next = [above + 1]
    for (let at = 1; at <= to.length; at += 1)
      next.push(Math.min(row[at]! + 1, next[at - 1]! + 1, row[at - 1]! + (letter === to[at - 1] ? 0 : 1)))
    row = next
  }
  return row[to.length]!
}
