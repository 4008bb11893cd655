import type { Estimate } from '../database/purging.ts'
import { stemOf } from '../migrations/file-names.ts'
import { isUnknown, partCountText, plural } from '../number-text.ts'
import { visible } from '../observe/control-characters.ts'
import type { View } from '../observe/view.ts'
import { fitted } from '../observe/width.ts'
import type { Host } from '../program.ts'
import { durationText } from '../time/time-text.ts'
import { histogramText } from './histogram.ts'
import { openLiveLines } from './live-lines.ts'
import { progressLine } from './progress-line.ts'
import { styleOf, type Style } from './style.ts'
import { summaryText } from './summary.ts'

/** What is shown of a job. */
interface Shown {
  readonly startedMs: number
  readonly estimate: Estimate | undefined
  done: number
  endedMs: number | undefined
  outcome: string | undefined
}

/** What `--run-now` shows on a terminal: lines, a bar for each job if the terminal supports that, and a table at the end. */
export function openRunView(host: Host, dryRun: boolean): View {
  const { clock } = host
  const style = styleOf(host)
  const columns = (): number => styleOf(host).columns
  const lines = openLiveLines((text) => host.write(text))
  const line = (text: string): void => lines.print(fitted(`${visible(text)}\n`, columns()))
  const expected = new Map<string, Estimate | undefined>()
  const shown = new Map<string, Shown>()

  const draw = (job: string, { done, estimate, startedMs, endedMs, outcome }: Shown): string =>
    progressLine(
      { job, done, expected: estimate, elapsedMs: (endedMs ?? clock.monotonicMs()) - startedMs, outcome },
      { ...style, columns: columns() },
    )

  return {
    listener: {
      note: line,
      created: (file) => line(`made the database file ${file}`),
      regained: (afterMs) => line(`connected again after ${durationText(afterMs)}`),
      applied: (file) => line(`applied migration ${stemOf(file)} in ${durationText(file.durationMs)}`),
      waiting: (holder, waitedMs) => line(`waiting for ${holder}, who is migrating, for ${durationText(waitedMs)}`),
      blocked: (path, reason) => line(`${path} waits for a lock and is tried again: ${reason}`),
      jobStarted(job) {
        const estimate = expected.get(job)
        const state: Shown = { startedMs: clock.monotonicMs(), estimate, done: 0, endedMs: undefined, outcome: undefined }
        shown.set(job, state)
        if (style.control) lines.add(() => draw(job, state))
        else
          line(
            `${job}: ${estimate === undefined || isUnknown(estimate) ? 'looking for expired rows' : `${partCountText(estimate)} expired rows`}`,
          )
      },
      jobBatch(job, { total }) {
        const state = shown.get(job)
        if (state !== undefined) state.done = total
      },
      jobFinished({ job, outcome, deleted, expired }) {
        const state = shown.get(job)
        if (state === undefined) return
        Object.assign(state, { done: expired ?? deleted, outcome: wordFor(outcome, dryRun), endedMs: clock.monotonicMs() })
      },
    },
    log: (text) => lines.print(text),
    pending: (names) => line(`${names.length} ${plural(names.length, 'migration is', 'migrations are')} pending: ${names.join(', ')}`),
    expect: (job, estimate) => void expected.set(job, estimate),
    summarize(results) {
      lines[Symbol.dispose]()
      const now: Style = { ...style, columns: columns() }
      host.print(`\n${summaryText(results, dryRun, now)}`)
      for (const { job, expiredByDay, sparedByDay } of results)
        if (expiredByDay !== undefined) {
          const histogram = histogramText(`${job} would delete, by day (UTC)`, expiredByDay, now, sparedByDay)
          if (histogram !== '') host.print(`\n${histogram}`)
        }
    },
    [Symbol.dispose]: () => lines[Symbol.dispose](),
  }
}

function wordFor(outcome: string, dryRun: boolean): string {
  const done = dryRun ? 'counted' : 'deleted'
  return outcome === 'succeeded' ? done : `${done}, ${outcome}`
}
