import { DAY, type EpochMs } from '../../time/clock.ts'
import { positionOf } from '../store/path.ts'
import type { WrittenFile } from './look.ts'

/** A day more than a week: whoever takes a sample every week reads each file in the week in which it was written. */
const RECENT_MS = 8 * DAY
const SHARE = 1 / 100
/**
 * A prime number, so that a sample every day, every week or every month comes to all turns: half of the share. Daily samples read each file within 199 days.
 */
const TURNS = 199

export interface Sample {
  /** Every one that was written in the last 8 days. */
  readonly recent: readonly WrittenFile[]
  /** One of a hundred of the others. */
  readonly older: readonly WrittenFile[]
}

/**
 * The files of which a sample reads the contents. Of the older ones, those whose turn it is today, so that each is read some time; and others by lot, at least as
 * many and at least one, so that nobody can know of a file that it will not be read next time.
 *
 * `below`: a number from 0 to below the given one, that nobody can foresee.
 */
export function sampleOf(files: readonly WrittenFile[], now: EpochMs, below: (most: number) => number): Sample {
  // One whose manifest tells no time is read.
  const recent = files.filter(({ written }) => !(Date.parse(written) < now - RECENT_MS))
  const isRecent = new Set(recent)
  const rest = files.filter((file) => !isRecent.has(file))
  const turn = Math.floor(now / DAY) % TURNS
  const [due, others] = [
    rest.filter(({ path }) => positionOf(path) % TURNS === turn),
    rest.filter(({ path }) => positionOf(path) % TURNS !== turn),
  ]
  const share = Math.ceil(rest.length * SHARE)
  return { recent, older: [...due, ...drawn(others, Math.max(Math.ceil(share / 2), share - due.length), below)] }
}

/** So many of them, each equally likely. */
function drawn<T>(items: readonly T[], count: number, below: (most: number) => number): readonly T[] {
  const left = [...items]
  return Array.from({ length: Math.min(count, items.length) }, () => left.splice(below(left.length), 1)[0]!)
}
