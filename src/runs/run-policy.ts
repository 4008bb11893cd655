import type { Transaction } from '../database/query.ts'
import type { Hold } from '../policy/holds.ts'
import { sparedByRule } from '../policy/rules.ts'
import type { SparedRows } from '../policy/spared.ts'
import { holdsInForce } from './holds-in-force.ts'
import { keptElsewhere, takenAlong } from './kept-elsewhere.ts'
import { HOLDS } from './hold-tables.ts'
import type { RunContext, RunRequest } from './run-context.ts'
import type { Run } from './run.ts'

/** Which expired rows stay in one run. In the course of it rows are only added: a hold that is released counts until the run's end. */
export interface RunPolicy {
  /** The holds that the run knows of: those of its start, and those that it has met since. */
  holds(): readonly Hold[]
  /** What they and the rules spare: what is walked, copied and counted leaves these rows out. */
  readonly spared: SparedRows
  /** The same and what the run has met since: the same value until it meets more. */
  sparedNow(): SparedRows
  /** Tables of other jobs of which rows are kept, too. */
  readonly alsoKeeping: readonly string[]
  /** The same and what was placed since then. Call it first in the transaction that deletes, under the lease. */
  sparedIn(tx: Transaction): Promise<SparedRows>
}

/** Rejects if a hold cannot be read: then nothing may be deleted. */
export async function openPolicy(context: RunContext, request: RunRequest, run: Run): Promise<RunPolicy> {
  const { database } = context
  const { job, rules = [], cascade = [] } = request
  const elsewhere = await keptElsewhere(context, request)
  const byRules = rules.map((rule) => sparedByRule(rule, run.now))
  const table = run.holds === 'read' ? database.named(HOLDS) : undefined
  let holds = table === undefined ? [] : await holdsInForce(database, table, job)
  const spared: SparedRows = [...byRules, ...holds.map((hold) => hold.spared)]
  let now = spared
  return {
    holds: () => holds,
    spared,
    sparedNow: () => now,
    alsoKeeping: elsewhere.tables,
    async sparedIn(tx) {
      await elsewhere.mustBeFree(tx)
      if (table === undefined) return spared
      const added = (await holdsInForce(tx, table, job)).filter(({ id }) => holds.every((known) => known.id !== id))
      // The same value as long as nothing is added, so that the engine need not compare.
      if (added.length > 0) {
        if (cascade.includes(job.table)) throw takenAlong(job, job.table)
        holds = [...holds, ...added]
        now = [...now, ...added.map((hold) => hold.spared)]
      }
      return now
    },
  }
}
