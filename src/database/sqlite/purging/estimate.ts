import { setImmediate as turn } from 'node:timers/promises'
import type { EpochMs } from '../../../time/clock.ts'
import { instantsIn } from '../../../time/zones.ts'
import { MOST_COUNTED, type Estimate } from '../../purging.ts'
import type { TimeRow } from '../connection/connection.ts'
import type { SqliteSession } from '../connection/session.ts'
import { Cutoff, readTime } from '../times.ts'
import type { Judge } from './judge.ts'
import { START, type Walk } from './walk.ts'

/** Most rows that are read have expired. Where few have, as among unreadable ones, counting stops here. */
const MOST_READ = 2 * MOST_COUNTED
/** A tenth of this is usual for so many rows. */
const MOST_MS = 2_000
/** Rows read before the event loop gets a turn: a few milliseconds. */
const STEP_ROWS = 2_000

export interface EstimateOptions {
  readonly session: SqliteSession
  readonly walk: Walk
  readonly timeZone: string
  /** `undefined`: from the first row on. */
  readonly since: EpochMs | undefined
}

/** Judges each row that it counts. SQLite has no planner's figure for a range of times. */
export async function estimate({ session, walk, timeZone, since }: EstimateOptions): Promise<Estimate> {
  const { clock } = session.connection
  const untilMs = clock.monotonicMs() + MOST_MS
  const begin = since === undefined ? undefined : Cutoff.at(since, timeZone)
  const path = since === undefined ? walk.expired : walk.expiredSince(since)
  const seen = new Seen(walk.judge, timeZone)
  let read = 0
  for (let from = START; ;) {
    const at = from
    const chunk = await session.read((connection) => path.read(connection, at, STEP_ROWS))
    if (chunk === undefined) return seen.estimate(seen.rows, false)
    for (const row of chunk.rows) if (begin === undefined || begin.judge(row[0]) === 'kept') seen.add(row)
    if (seen.rows > MOST_COUNTED) return seen.estimate(MOST_COUNTED, true)
    read += chunk.looked ?? chunk.rows.length
    if (read > MOST_READ) return seen.estimate(seen.rows, true)
    if ((chunk.looked ?? chunk.rows.length) > 0 && clock.monotonicMs() > untilMs) return seen.estimate(undefined, true)
    from = chunk.end
    await turn()
  }
}

/** What was counted so far. */
class Seen {
  rows = 0
  readonly #judge: Judge
  readonly #timeZone: string
  #oldestInstant = Infinity
  /** Read as if it were UTC. */
  #oldestReading = Infinity

  constructor(judge: Judge, timeZone: string) {
    this.#judge = judge
    this.#timeZone = timeZone
  }

  add(row: TimeRow): void {
    if (!this.#judge.mayGo(row)) return
    this.rows += 1
    const time = readTime(row[0])
    if (time?.zoned === true) this.#oldestInstant = Math.min(this.#oldestInstant, time.instant)
    else if (time !== undefined) this.#oldestReading = Math.min(this.#oldestReading, time.instant)
  }

  estimate(rows: number | undefined, more: boolean): Estimate {
    return { rows, more, planned: undefined, oldest: this.#oldest }
  }

  get #oldest(): EpochMs | null {
    const reading = this.#oldestReading === Infinity ? Infinity : instantsIn(this.#timeZone)(this.#oldestReading)
    const oldest = Math.min(this.#oldestInstant, reading)
    return oldest === Infinity ? null : oldest
  }
}
