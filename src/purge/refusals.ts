/** What a walk knows of refused and slow rows where it stands: how many rows to try at once, and how many to pass over. */
export interface Refusals {
  /** One of the next so many rows is refused. Infinity: none is known to be. */
  readonly among: number
  /** At most so many rows are tried at once: fewer right after a refused row, because the next may be refused too. */
  readonly most: number
  /** How many rows, one right after the other, were refused; one that took too long counts as many. */
  readonly streak: number
  /** How many rows the next leap takes. */
  readonly leap: number
}

/** So many refused rows in a row are tried one by one; of those behind them, only samples. */
export const PATIENCE = 400
/** A row that takes too long, by itself, costs as much time as so many that are refused. */
export const WEIGHT_OF_SLOW = PATIENCE / 4
/** The first leap, and how many rows are tried one by one after a leap that went too far. */
export const FIRST_LEAP = 32
/** The most rows that a leap takes, and so the longest run of rows that could be deleted and may be overlooked among refused ones. */
export const LONGEST_LEAP = 1_000
/** How many of its rows are tried: the last, and others anywhere before it. */
const SAMPLES = 4

export const NONE_REFUSED: Refusals = { among: Infinity, most: Infinity, streak: 0, leap: FIRST_LEAP }

/** How many rows are tried next, if the pacer would take `rows`. A refused or slow row among several is found by halving. */
export function triedRows({ among, most }: Refusals, rows: number): number {
  return Math.min(rows, among === Infinity ? most : Math.ceil(among / 2))
}

/** Whether so many rows were refused that the next ones are sampled. */
export function mustLeap({ streak, among }: Refusals): boolean {
  return streak >= PATIENCE && among === Infinity
}

/** After a batch of so many rows, none of which was refused. */
export function afterBatch({ among, most }: Refusals, size: number): Refusals {
  return { ...NONE_REFUSED, among: among > size ? among - size : Infinity, most: most * 2 }
}

/** After a batch that was refused or too slow; a single row is passed over. */
export function afterRefusal(refusals: Refusals, size: number, weight = 1): Refusals {
  if (size > 1) return { ...refusals, among: size }
  const streak = refusals.streak + weight
  return { ...refusals, among: Infinity, most: streak > 1 ? 1 : 2, streak }
}

/** The places in a leap over so many rows that are tried, in their order. */
export function sampled(size: number, random: () => number): readonly number[] {
  const places = Array.from({ length: SAMPLES - 1 }, () => Math.floor(random() * (size - 1)))
  return [...new Set([...places.toSorted((a, b) => a - b), size - 1])]
}

/** After a leap in which a row was not refused: its first rows are tried one by one, and then shorter leaps. */
export function afterLeapTooFar(): Refusals {
  return { among: Infinity, most: 1, streak: PATIENCE - FIRST_LEAP, leap: FIRST_LEAP }
}

/** After a leap all of whose samples were refused. */
export function afterLeap(refusals: Refusals): Refusals {
  return { ...refusals, leap: Math.min(2 * refusals.leap, LONGEST_LEAP) }
}

/** After a leap that would have reached the end of the rows: the nearer the end, the shorter the leaps. */
export function nearTheEnd(refusals: Refusals, left: number): Refusals {
  return left < 2 * FIRST_LEAP ? afterLeapTooFar() : { ...refusals, leap: Math.floor(left / 2) }
}
