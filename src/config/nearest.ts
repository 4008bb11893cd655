import { editDistance } from '../edit-distance.ts'

/** The candidate that a slip of the pen most likely meant. */
export function nearest(word: string, candidates: readonly string[], mostSlips: number = MOST_SLIPS): string | undefined {
  const [first] = candidates
    .filter(({ length }) => Math.abs(length - word.length) <= mostSlips)
    .map((candidate) => ({ candidate, distance: editDistance(word.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ distance }) => distance <= mostSlips)
    .toSorted((a, b) => a.distance - b.distance)
  return first?.candidate
}

/** Letters. */
const MOST_SLIPS = 2
