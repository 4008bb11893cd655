import type { EpochMs } from '../../time/clock.ts'
import type { StoredRows } from '../exporting.ts'

export interface LongRow {
  readonly at: EpochMs
  readonly id: string
  /** Approximate. */
  readonly bytes: number
  /** End with the line feed. */
  readonly pieces: Iterable<Uint8Array>
  /** Called once the pieces have been iterated. */
  readonly digests: () => Uint8Array
}

/** A single row whose line never exists as a whole. */
export function longRow({ at, id, bytes, pieces, digests }: LongRow): StoredRows {
  return {
    count: 1,
    at: [at],
    idOf: () => id,
    lines: NOTHING,
    ends: [0],
    pieces,
    bytes,
    get digests() {
      return digests()
    },
  }
}

const NOTHING = Buffer.alloc(0)
