import { countText } from '../number-text.ts'
import type { PastRun } from '../runs/past-runs.ts'
import { isBad } from '../runs/result.ts'
import { deletedByDay, type DeletedByDay } from '../status/deleted-by-day.ts'
import { spanText } from '../status/sentences.ts'
import { DAY, type EpochMs } from '../time/clock.ts'
import { minuteText } from '../time/time-text.ts'
import { dayColumnsText } from './day-columns.ts'
import { red, type Part, type Style } from './style.ts'
import { tableText, type Column } from './table.ts'

const COLUMNS: readonly Column[] = [
  { title: 'started (UTC)' },
  { title: 'job', cutFirst: true },
  { title: 'trigger', dispensable: 3 },
  { title: 'outcome' },
  { title: 'deleted', align: 'right' },
  { title: 'held', align: 'right', dispensable: 2 },
  { title: 'archived', align: 'right', dispensable: 2 },
  { title: 'took', align: 'right', dispensable: 1 },
  { title: 'worker', dispensable: 5 },
]

/** Rows that left the archive; the column is left out if there are none, so that nobody has to wonder what it means. */
const REMOVED: Column = { title: 'left the archive', align: 'right', dispensable: 2 }
const AFTER_ARCHIVED = 7

/** Why a run failed or stopped. Programs read one line per run; people get the whole text, below the run. */
const ERROR: Column = { title: 'error' }

/** Runs for people, oldest first; on a terminal, a chart of what they deleted each day, until today, is drawn below. */
export function historyText(runs: readonly PastRun[], now: EpochMs, style: Style): string {
  const removing = runs.some(({ removed }) => removed !== undefined)
  const columns = removing ? COLUMNS.toSpliced(AFTER_ARCHIVED, 0, REMOVED) : COLUMNS
  const cells = runs.map((run) => (removing ? cellsOf(run, style).toSpliced(AFTER_ARCHIVED, 0, countOf(run.removed)) : cellsOf(run, style)))
  const errors = runs.map(({ error }) => error?.split('\n') ?? [])
  const table = Number.isFinite(style.columns)
    ? tableText(columns, cells, style, errors)
    : tableText(
        [...columns, ERROR],
        cells.map((row, at) => [...row, errors[at]!.join(' ').replaceAll(/\s+/g, ' ')]),
        style,
      )
  const chart = dayColumnsText(daysOf(runs, now), style)
  return `${table}\n${chart === '' ? '' : `\n${chart}`}`
}

/** From the day of the first run, because nothing is known of the days before it. */
function daysOf(runs: readonly PastRun[], now: EpochMs): DeletedByDay {
  const [first = now] = runs.map(({ startedAt }) => startedAt)
  const days = Math.max(1, Math.floor(now / DAY) - Math.floor(first / DAY) + 1)
  return deletedByDay(
    runs.map(({ job, startedAt, deleted }) => ({ job, at: startedAt, deleted })),
    now,
    days,
  )
}

function cellsOf({ startedAt, job, trigger, outcome, deleted, held, archived, finishedAt, worker }: PastRun, style: Style): Part[] {
  return [
    minuteText(startedAt),
    job,
    trigger,
    outcome === undefined ? 'not ended' : isBad(outcome) ? red(outcome, style) : outcome,
    countText(deleted),
    // A column with nothing in it is left out.
    held === 0 ? '' : countText(held),
    countOf(archived),
    finishedAt === undefined ? '' : spanText(startedAt, finishedAt),
    worker,
  ]
}

function countOf(growth: PastRun['archived']): string {
  return growth === undefined ? '' : countText(growth.rows)
}
