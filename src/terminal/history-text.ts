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
  { title: 'archived', align: 'right', dispensable: 2 },
  { title: 'took', align: 'right', dispensable: 1 },
  { title: 'worker', dispensable: 5 },
  { title: 'error', dispensable: 4 },
]

/** Rows that left the archive; where none did, nobody has to wonder what the column means. */
const REMOVED: Column = { title: 'left the archive', align: 'right', dispensable: 2 }
const AFTER_ARCHIVED = 6

/** Runs for people, oldest first, a line each; on a terminal what they deleted day by day, until today, is drawn below. */
export function historyText(runs: readonly PastRun[], now: EpochMs, style: Style): string {
  const removing = runs.some(({ removed }) => removed !== undefined)
  const table = tableText(
    removing ? COLUMNS.toSpliced(AFTER_ARCHIVED, 0, REMOVED) : COLUMNS,
    runs.map((run) => (removing ? cellsOf(run, style).toSpliced(AFTER_ARCHIVED, 0, countOf(run.removed)) : cellsOf(run, style))),
    style,
  )
  const chart = dayColumnsText(daysOf(runs, now), style)
  return `${table}\n${chart === '' ? '' : `\n${chart}`}`
}

/** From the day of the first run on: of the days before it nothing is known. */
function daysOf(runs: readonly PastRun[], now: EpochMs): DeletedByDay {
  const [first = now] = runs.map(({ startedAt }) => startedAt)
  const days = Math.max(1, Math.floor(now / DAY) - Math.floor(first / DAY) + 1)
  return deletedByDay(
    runs.map(({ job, startedAt, deleted }) => ({ job, at: startedAt, deleted })),
    now,
    days,
  )
}

function cellsOf({ startedAt, job, trigger, outcome, deleted, archived, finishedAt, worker, error }: PastRun, style: Style): Part[] {
  return [
    minuteText(startedAt),
    job,
    trigger,
    outcome === undefined ? 'not ended' : isBad(outcome) ? red(outcome, style) : outcome,
    countText(deleted),
    countOf(archived),
    finishedAt === undefined ? '' : spanText(startedAt, finishedAt),
    worker,
    error?.replaceAll(/\s+/g, ' ') ?? '',
  ]
}

function countOf(growth: PastRun['archived']): string {
  return growth === undefined ? '' : countText(growth.rows)
}
