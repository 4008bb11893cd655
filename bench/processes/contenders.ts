import { setImmediate } from 'node:timers/promises'
import { RETENTION_MS, stored } from '../audit-rows.ts'
import { sharedMs } from './child.ts'
import { pipedToFile } from './by-hand.ts'
import type { Batch, Contender, Keeping, Steady, Work } from './contender.ts'
import { openPlain, type Plain } from './plain.ts'
import { openArchivingJob, openJob, openKeepingJob, openSteadyLoop } from './product.ts'

/**
 * `ours`: the job as the program runs it. `whole`: the same, where partitions may go as a whole. `archive`: the same with archiving. `delete`: one statement. `naive`: the ids of a thousand rows, then a DELETE of
 * those ids.
 */
export type Method = 'ours' | 'whole' | 'archive' | 'delete' | 'naive'

export async function openContender(method: Method | Steady | Keeping, url: string, retentionMs = RETENTION_MS): Promise<Contender> {
  if (typeof method === 'object') return 'keeps' in method ? await openKeeping(method, url) : await openSteadyLoop(url, method)
  if (method === 'ours') return await openJob(url, retentionMs)
  if (method === 'whole') return await openJob(url, retentionMs, { partitions: true })
  if (method === 'archive') return await openArchivingJob(url)
  const plain = await openPlain(url)
  return {
    work: (stopping) => (method === 'delete' ? oneDelete(plain, stored(Date.now() - retentionMs)) : naiveBatches(plain, stopping)),
    close: () => plain.close(),
  }
}

async function openKeeping(keeping: Keeping, url: string): Promise<Contender> {
  if (keeping.keeps !== 'by hand') return await openKeepingJob(url, keeping)
  const plain = await openPlain(url)
  return {
    async work() {
      const cutoff = stored(Date.now() - RETENTION_MS)
      await pipedToFile(url, `SELECT * FROM audit_logs WHERE timestamp < '${cutoff}'`, keeping.file)
      return await oneDelete(plain, cutoff)
    },
    close: () => plain.close(),
  }
}

async function oneDelete(plain: Plain, cutoff: string): Promise<Work> {
  const batch = await timed(() => plain.run('DELETE FROM audit_logs WHERE timestamp < ?', [cutoff]))
  return { deleted: batch.rows, batches: [batch], finished: true }
}

const NAIVE_ROWS = 1_000

async function naiveBatches(plain: Plain, stopping: AbortSignal): Promise<Work> {
  const cutoff = stored(Date.now() - RETENTION_MS)
  const batches: Batch[] = []
  let deleted = 0
  while (!stopping.aborted) {
    const startedMs = sharedMs()
    const ids = await plain.column(`SELECT id FROM audit_logs WHERE timestamp < ? LIMIT ${NAIVE_ROWS}`, [cutoff])
    if (ids.length === 0) return { deleted, batches, finished: true }
    const chooseMs = sharedMs() - startedMs
    const batch = await timed(() => plain.run(`DELETE FROM audit_logs WHERE id IN (${ids.map(() => '?').join(', ')})`, ids))
    batches.push({ ...batch, chooseMs })
    deleted += batch.rows
    await setImmediate() // lets the request to stop in
  }
  return { deleted, batches, finished: false }
}

async function timed(run: () => Promise<number>): Promise<Batch> {
  const startedMs = sharedMs()
  const rows = await run()
  const transactionMs = sharedMs() - startedMs
  return { rows, chooseMs: 0, transactionMs, heldMs: transactionMs }
}
