import type { TimeRow } from '../connection/connection.ts'
import type { Cutoff, StoredTime, Verdict } from '../times.ts'
import type { Sparing } from './spared-sql.ts'

/** Decides which rows may go: the one place that asks both whether a row's time has come and whether the row is spared. */
export class Judge {
  readonly cutoff: Cutoff
  readonly sparing: Sparing

  constructor(cutoff: Cutoff, sparing: Sparing) {
    this.cutoff = cutoff
    this.sparing = sparing
  }

  /** Of a row that was read by a statement with the masks of `sparing`. */
  verdict(row: TimeRow): Verdict | 'spared' {
    const verdict = this.cutoff.judge(row[0])
    return verdict === 'expired' && this.sparing.spares(row[0], row, 2) ? 'spared' : verdict
  }

  mayGo(row: TimeRow): boolean {
    return this.verdict(row) === 'expired'
  }

  /** The same of a row whose masks come elsewhere: in `cells`, from the place `at` on. */
  mayGoBy(time: StoredTime, cells: readonly unknown[], at: number): boolean {
    return this.cutoff.judge(time) === 'expired' && !this.sparing.spares(time, cells, at)
  }
}
