import type { PastRun } from '../jobs/past-runs.ts'
import { red, type Style } from './style.ts'
import { tableText } from './table.ts'
import { countText, durationText, minuteText } from './words.ts'

const COLUMNS = [
  { title: 'started (UTC)' },
  { title: 'job' },
  { title: 'trigger', dispensable: 3 },
  { title: 'outcome' },
  { title: 'deleted', align: 'right' },
  { title: 'archived', align: 'right', dispensable: 2 },
  { title: 'took', align: 'right', dispensable: 1 },
  { title: 'worker', dispensable: 5 },
  { title: 'error', dispensable: 4 },
] as const

/** Runs for people, a line each. */
export function historyText(runs: readonly PastRun[], style: Style): string {
  return `${tableText(
    COLUMNS,
    runs.map((run) => cellsOf(run, style)),
    style,
  )}\n`
}

function cellsOf({ startedAt, job, trigger, outcome, deleted, archived, finishedAt, worker, error }: PastRun, style: Style): string[] {
  const failed = outcome === 'failed' || outcome === 'stopped'
  return [
    minuteText(startedAt),
    job,
    trigger,
    outcome === undefined ? 'not ended' : failed ? red(outcome, style) : outcome,
    countText(deleted),
    archived === undefined ? '' : countText(archived.rows),
    finishedAt === undefined ? '' : durationText(Math.max(0, finishedAt - startedAt)),
    worker,
    error?.replaceAll(/\s+/g, ' ') ?? '',
  ]
}
