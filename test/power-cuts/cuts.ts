import type { Random } from '../faults/random.ts'
import { pathIn, type Operation } from './trace.ts'

/** Where the power is cut: behind operations, by their place in the recording. */
export interface Cuts {
  /** From the sync before each step of the archive to the end of its publishing or removing: where the order matters. */
  readonly dense: readonly number[]
  readonly others: readonly number[]
}

/** A commit takes fewer operations of the database than this. */
const FAR = 60

export function cutsOf(operations: readonly Operation[]): Cuts {
  const named = operations.flatMap((operation, place) => (isOfArchive(operation) && operation.kind !== 'write' ? [place] : []))
  const isDense = operations.map(() => false)
  // Between two operations of the archive that are near each other, the database has committed what they lean on.
  for (const [index, place] of named.entries()) {
    const next = named[index + 1]
    const end = next !== undefined && next - place < FAR ? next : Math.min(place + 3, operations.length - 1)
    isDense.fill(true, place, end + 1)
  }
  const places = operations.map((_, place) => place)
  return { dense: places.filter((place) => isDense[place]), others: places.filter((place) => !isDense[place]) }
}

/** Some of them, in their order. */
export function sample(places: readonly number[], share: number, random: Random): readonly number[] {
  return places.filter(() => random.fraction() < share)
}

export function isOfArchive(operation: Operation): boolean {
  const path = pathIn(operation)
  return path === 'archive' || path.startsWith('archive/')
}

/** For people. */
export function described(operation: Operation): string {
  return `${operation.kind} ${pathIn(operation)}${operation.kind === 'write' ? ` (${operation.data.length} bytes)` : ''}`
}
