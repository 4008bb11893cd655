import type { Estimate } from '../database/purging.ts'
import type { RunResult } from '../runs/result.ts'
import type { Listener } from './fan-out.ts'

/** The progress display of a terminal. The log is written through it so that neither garbles the other. */
export interface View extends Disposable {
  readonly listener: Listener
  /** Whole lines of the log. */
  log(text: string): void
  /** Names of migrations that are about to be applied. */
  pending(migrations: readonly string[]): void
  /** Called before a job runs, with its backlog; `undefined`: unknown. */
  expect(job: string, estimate: Estimate | undefined): void
  /** All results are in. */
  summarize(results: readonly RunResult[]): void
}
