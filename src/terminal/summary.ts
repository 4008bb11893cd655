import { linesOf } from '../errors.ts'
import { countText } from '../number-text.ts'
import { isBad, type RunResult } from '../runs/result.ts'
import { durationText, minuteText } from '../time/time-text.ts'
import { bold, ink, red, type Part, type Style } from './style.ts'
import { tableText } from './table.ts'

/** The results of all jobs: a table and, below it, the reasons, if there are any. */
export function summaryText(results: readonly RunResult[], dryRun: boolean, style: Style): string {
  const columns = [
    { title: 'job', cutFirst: true },
    { title: 'cutoff (UTC)', dispensable: 1 },
    { title: dryRun ? 'would delete' : 'deleted', align: 'right' },
    { title: 'archived', align: 'right', dispensable: 3 },
    { title: 'kept', align: 'right', dispensable: 2 },
    { title: 'took', align: 'right', dispensable: 4 },
    { title: 'outcome' },
  ] as const
  const notes = results.flatMap((result) => notesOf(result, style))
  return `${[
    tableText(
      columns,
      results.map((result) => cellsOf(result, style)),
      style,
    ),
    ...notes,
  ].join('\n')}\n`
}

function cellsOf(result: RunResult, style: Style): Part[] {
  const { job, cutoff, deleted, expired, archived, durationMs, outcome } = result
  return [
    job,
    cutoff === undefined ? '' : minuteText(cutoff),
    countText(expired ?? deleted),
    archived === undefined ? '' : countText(archived.rows),
    countText(keptOf(result)),
    durationText(durationMs),
    isBad(outcome) ? red(outcome, style) : outcome,
  ]
}

/** Rows that were kept although nothing shows that their time is still to come. */
function keptOf({ undated, unreadable, locked, held, tooLarge }: RunResult): number {
  return undated + unreadable + locked + held + tooLarge
}

function notesOf(result: RunResult, style: Style): string[] {
  const { job, reason, error, undated, unreadable, locked, held, holds, tooLarge } = result
  const kept = [
    ...(undated > 0 ? [`${countText(undated)} without a time`] : []),
    ...(unreadable > 0 ? [`${countText(unreadable)} whose time cannot be read`] : []),
    ...(tooLarge > 0 ? [`${countText(tooLarge)} too large for the archive`] : []),
    ...(held > 0 ? [`${countText(held)} by ${holds === 1 ? 'a legal hold' : `${countText(holds)} legal holds`}`] : []),
    ...(locked > 0 ? [`${countText(locked)} locked by another transaction`] : []),
  ]
  const why = error !== undefined ? linesOf(error) : reason === undefined ? [] : [reason]
  return [
    ...why.map((line) => ink`${bold(job, style)}: ${line}`.text),
    ...(kept.length === 0 ? [] : [ink`${bold(job, style)} kept ${kept.join(', ')}`.text]),
  ]
}
