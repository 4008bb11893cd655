import type { Estimate } from '../database/purging.ts'
import type { RunResult } from '../runs/result.ts'
import type { Listener } from './fan-out.ts'

/** What a terminal shows of a run beside its log, which is written through it so that neither garbles the other. */
export interface View extends Disposable {
  readonly listener: Listener
  /** Whole lines of the log. */
  log(text: string): void
  /** Names of migrations that are about to be applied. */
  pending(migrations: readonly string[]): void
  /** Before a job runs: what waits for it; `undefined`: that is not known. */
  expect(job: string, estimate: Estimate | undefined): void
  /** All results are in. */
  summarize(results: readonly RunResult[]): void
}
