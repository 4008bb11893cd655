import type { EpochMs } from '../../time/clock.ts'
import type { StoredRows } from '../exporting.ts'

export interface LongRow {
  readonly at: EpochMs
  readonly id: string
  /** About. */
  readonly bytes: number
  /** With the line feed at the end. */
  readonly pieces: Iterable<Uint8Array>
  /** Asked for when the pieces have been walked. */
  readonly digests: () => Uint8Array
}

/** One row whose line does not exist as a whole. */
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
