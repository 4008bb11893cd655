import { setImmediate as turn } from 'node:timers/promises'
import type { Spared, SparedRows } from '../../../policy/spared.ts'
import { SECOND, type EpochMs } from '../../../time/clock.ts'
import type { SparedCount, SparedExpired, TimeColumn } from '../../purging.ts'
import type { TimeRow } from '../connection/connection.ts'
import type { SqliteSession } from '../connection/session.ts'
import { Cutoff } from '../times.ts'
import { rangesFor } from './index-ranges.ts'
import { JudgedWalks } from './judged-walks.ts'
import { layoutOf } from './layout.ts'
import { pathByNumber, pathThrough, START, type Path } from './walk.ts'
import { statementsFor } from './walk-statements.ts'

/** Rows read before the event loop gets a turn: some milliseconds. */
const STEP_ROWS = 5_000
/** Somebody waits for the answer of `hold place`. */
const MOST_MS = 3 * SECOND

/** How many of the expired rows that a walk does not leave out each of `spared` would keep. */
export async function sparedAmongExpired(session: SqliteSession, walks: JudgedWalks, spared: SparedRows): Promise<SparedExpired> {
  const { walk, own } = await session.read(() => walks.telling(spared))
  const { cutoff, sparing } = walk.judge
  const each = spared.map(() => 0)
  let any = 0
  for await (const rows of stepsOf(session, walk.spared)) {
    for (const row of rows) {
      if (cutoff.judge(row[0]) !== 'expired') continue
      const keepers = [...sparing.sparing(row[0], row, 2)]
      // In ascending order: one of the walk's own comes first.
      if (keepers.length === 0 || keepers[0]! < own) continue
      any += 1
      for (const keeper of keepers) each[keeper - own]! += 1
    }
  }
  return { any, each }
}

export interface SparedOptions {
  readonly session: SqliteSession
  readonly column: TimeColumn
  readonly spared: Spared
  readonly cutoff: EpochMs
  readonly timeZone: string
}

/** How many rows of the table are spared, whatever their time is, and how many of them have expired. */
export async function sparedInTable({ session, column, spared, cutoff, timeZone }: SparedOptions, most: number): Promise<SparedCount> {
  const { clock } = session.connection
  const judged = Cutoff.at(cutoff, timeZone)
  const found = await session.read((connection) => {
    const layout = layoutOf(connection, column)
    if (layout === undefined) return undefined
    const { sparing } = new JudgedWalks({ connection, column, layout, cutoff: judged, spared: [spared], timeZone }).first.judge
    const statements = statementsFor(layout, sparing)
    const { from, until } = spared
    // Without an end in time, rows whose time cannot be read count, too.
    const ranged = layout.index !== undefined && (from !== undefined || until !== undefined)
    return {
      sparing,
      path: ranged ? pathThrough(statements, rangesFor(until ?? LAST_TIME, layout.numbers, from).expired) : pathByNumber(statements),
    }
  })
  const count = { rows: 0, expired: 0 }
  if (found === undefined) return { ...count, more: false }
  const untilMs = clock.monotonicMs() + MOST_MS
  for await (const rows of stepsOf(session, found.path)) {
    for (const row of rows) {
      if (!found.sparing.spares(row[0], row, 2)) continue
      if (count.rows === most) return { ...count, more: true }
      count.rows += 1
      if (judged.judge(row[0]) === 'expired') count.expired += 1
    }
    if (clock.monotonicMs() > untilMs) return { ...count, more: true }
  }
  return { ...count, more: false }
}

/** Later than every time that can be read. */
const LAST_TIME = Date.UTC(10_000, 0, 2)

async function* stepsOf(session: SqliteSession, path: Path): AsyncGenerator<readonly TimeRow[], undefined> {
  for (let from = START; ;) {
    const at = from
    const chunk = await session.read((connection) => path.read(connection, at, STEP_ROWS))
    if (chunk === undefined) return
    yield chunk.rows
    from = chunk.end
    await turn()
  }
}
