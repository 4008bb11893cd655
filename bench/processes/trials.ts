import { expiredOf } from '../audit-rows.ts'
import type { Copy } from '../engines/engine.ts'
import type { Workspace } from '../workspace.ts'
import { startChild, type Child } from './child.ts'
import type { Keeping, Steady } from './contender.ts'
import type { Method } from './contenders.ts'
import type { Question, Trial } from './purger.ts'

const PURGER = new URL('purger.ts', import.meta.url)

/** A purge in a separate process, connected and waiting for the signal to start. */
export interface Purger extends AsyncDisposable {
  run(): Promise<Trial>
}

export async function startPurger(
  workspace: Workspace,
  method: Method | Steady | Keeping,
  copy: Copy,
  limitMs: number,
  retentionMs?: number,
): Promise<Purger> {
  const child = startChild(workspace, PURGER)
  await requested(child, { ask: 'connect', method, url: copy.url, ...(retentionMs === undefined ? {} : { retentionMs }) })
  return {
    async run() {
      const trial = await requested<Trial>(child, { ask: 'work', limitMs })
      const expected = expiredOf(copy.rows)
      if (trial.finished ? trial.deleted !== expected : trial.deleted > expected)
        throw new Error(`${JSON.stringify(method)} deleted ${trial.deleted} rows and should have deleted ${expected}`)
      return trial
    },
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  }
}

/** Runs one purge to its end. */
export async function purged(
  workspace: Workspace,
  method: Method | Steady | Keeping,
  copy: Copy,
  limitMs: number,
  retentionMs?: number,
): Promise<Trial> {
  await using purger = await startPurger(workspace, method, copy, limitMs, retentionMs)
  return await purger.run()
}

/** One night's run of the job, with the retention for which that night's rows have expired. */
export async function purgedAtNight(workspace: Workspace, url: string, retentionMs: number, limitMs: number): Promise<Trial> {
  await using child = startChild(workspace, PURGER)
  return await requested<Trial>(child, { ask: 'night', url, retentionMs, limitMs })
}

/** The job's own time, in ms, if nothing has expired. */
export async function nothingExpired(workspace: Workspace, copy: Copy, retentionMs: number, times: number): Promise<number> {
  await using child = startChild(workspace, PURGER)
  return await requested<number>(child, { ask: 'nothing', url: copy.url, retentionMs, times })
}

/** How long one statement takes that counts rows, in ms, in a process of its own. */
export async function countedRows(workspace: Workspace, url: string, sql: string, values: readonly string[]): Promise<number> {
  await using child = startChild(workspace, PURGER)
  return await requested<number>(child, { ask: 'count', url, sql, values })
}

/** Wall time; for a purge that was stopped, the time that all its rows would have taken at the same speed. */
export function totalMs(trial: Trial, copy: Pick<Copy, 'rows'>): number {
  const ms = trial.endedMs - trial.startedMs
  return trial.finished ? ms : (ms * expiredOf(copy.rows)) / Math.max(trial.deleted, 1)
}

function requested<T>(child: Child, question: Question): Promise<T> {
  return child.ask<T>(question)
}
