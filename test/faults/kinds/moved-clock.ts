import { retentionOf } from '../../../src/catalogue.ts'
import { DAY } from '../../../src/time/clock.ts'
import { ENGINES, type TestEngine } from '../../support/engines.ts'
import type { Arena } from '../arena.ts'
import { isSqlite } from '../dialect.ts'
import { runUnderFakeTime, fakeTimeLibrary } from '../fake-time.ts'
import { onEach, type Fault } from '../fault.ts'
import { runWithClock } from '../injected-clock.ts'
import { SUBJECTS, type Subject } from '../subjects.ts'
import { must } from '../violation.ts'

const SHIFTS_MS = [-DAY, DAY, 3_653 * DAY] as const
/** More than the thousand below which a table may be emptied. */
const ROWS = 1_200
const TEN_YEARS_ON = 1_000 * DAY

/**
 * The host's clock is a day behind, a day ahead or ten years ahead. On PostgreSQL the database's clock tells, and nothing is deleted (exit 5). On
 * SQLite the host's clock is the only one: what it says has expired goes, sessions and decisions without a question; only where every one of the
 * audit logs would go, the newest included, the run is stopped.
 */
export const movedClock: Fault = {
  name: 'moved-clock',
  rounds: () => onEach(ENGINES, SHIFTS_MS.length),
  async run(round) {
    const shiftMs = SHIFTS_MS[Math.floor((round.number - 1) / ENGINES.length)]!
    const injected = await round.arena()
    await underMovedClock(injected, shiftMs, () => runWithClock(injected, round.program.packageRoot, shiftMs))
    round.injected()
    const library = fakeTimeLibrary()
    if (library === undefined)
      return round.skipped('libfaketime is not installed (Debian package faketime); the injected clock was moved alone')
    const faked = await round.arena()
    await underMovedClock(faked, shiftMs, () => runUnderFakeTime(faked, library, shiftMs))
    round.injected()
  },
}

async function underMovedClock(arena: Arena, shiftMs: number, run: () => Promise<number | null>): Promise<void> {
  const { truth, engine } = arena
  truth.clockMoved = true
  for (const subject of SUBJECTS) {
    const { both, one } = rowsFor(engine, subject, shiftMs)
    await truth.writeRows(subject, 'go', ROWS, both)
    await truth.writeRows(subject, one.fate, ROWS, one.seconds)
    // Where the moved clock leaves no row alive, the safety stop is what is tested.
    if (Math.abs(shiftMs) < TEN_YEARS_ON || retentionOf(subject.job) === undefined)
      await truth.writeRows(subject, 'stay', ROWS, `${subject.living} + ${Math.max(0, shiftMs) / 1_000}`)
  }
  const expected = isStopped(engine, shiftMs) ? 5 : 0
  const code = await run()
  must(code === expected, `with a clock moved by ${shiftMs / DAY} days the run exits ${code} instead of ${expected}`)
  for (const subject of SUBJECTS) {
    const gone = await arena.truth.gone(subject)
    const due = expectedGone(engine, subject, shiftMs)
    must(gone === due, `with a clock moved by ${shiftMs / DAY} days ${gone} rows of ${subject.table} went instead of ${due}`)
  }
  await arena.settle()
}

interface Rows {
  /** Seconds from now of rows that have expired by both clocks. */
  readonly both: string
  /** Of rows that have expired by one of them, and whether they go in the end. */
  readonly one: { readonly fate: 'go' | 'stay'; readonly seconds: string }
}

function rowsFor(engine: TestEngine, subject: Subject, shiftMs: number): Rows {
  const kept = retentionOf(subject.job) !== undefined
  if (shiftMs < 0)
    return { both: `${subject.expired} + ${shiftMs / 1_000}`, one: { fate: 'go', seconds: kept ? '- 90.5 * 86400 - n' : subject.expired } }
  const fate = expectedGone(engine, subject, shiftMs) > 0 ? 'go' : 'stay'
  return { both: subject.expired, one: { fate, seconds: kept ? '- 89.5 * 86400 + n' : subject.living } }
}

function isStopped(engine: TestEngine, shiftMs: number): boolean {
  return !isSqlite(engine) || shiftMs > TEN_YEARS_ON
}

function expectedGone(engine: TestEngine, subject: Subject, shiftMs: number): number {
  if (!isSqlite(engine)) return 0
  if (shiftMs < 0) return ROWS
  if (shiftMs > TEN_YEARS_ON && retentionOf(subject.job) !== undefined) return 0
  return 2 * ROWS
}
