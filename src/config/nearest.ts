import { editDistance } from '../edit-distance.ts'

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
