import type { EpochMs } from '../time/clock.ts'
import type { Match } from './match.ts'

/**
 * Rows that stay although their time is before the cutoff: those that match, with a time from `from` up to, but not including, `until`. A hold and a rule are
 * both of this kind. Where a row's time can be read as two instants, because the clocks of its zone went back, it is spared if one of them is in the range.
 */
export interface Spared {
  readonly match: Match
  /** `undefined`: however old. */
  readonly from: EpochMs | undefined
  /** `undefined`: however new. */
  readonly until: EpochMs | undefined
}

/** A row stays if one of them spares it. */
export type SparedRows = readonly Spared[]

export const NOTHING_SPARED: SparedRows = []

/** The columns by which rows are spared. */
export function matchedColumns(spared: SparedRows): readonly string[] {
  return [...new Set(spared.flatMap(({ match }) => Object.keys(match)))]
}
