import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { locationText } from '../../src/archive/archive-location.ts'
import { COUNTED_RUNS } from '../../src/archive/tables.ts'
import { JOBS } from '../../src/catalogue.ts'
import type { Database, OpenOptions } from '../../src/database/database.ts'
import { openDatabase } from '../../src/database/open.ts'
import { parseDatabaseUrl } from '../../src/database/url/database-url.ts'
import { cutoffOf } from '../../src/purge/cutoff.ts'
import { deleteSlice } from '../../src/purge/dispose.ts'
import { purge } from '../../src/purge/purge.ts'
import { Turns } from '../../src/purge/turns.ts'
import type { RunListener, RunContext } from '../../src/runs/run-context.ts'
import { runJob } from '../../src/runs/run-job.ts'
import { hostClock, SECOND } from '../../src/time/clock.ts'
import { RETENTION_MS } from '../audit-rows.ts'
import type { Batch, Contender, Keeping, Steady } from './contender.ts'
import { recorded } from './recorded.ts'

const EVERYTHING = new Set(['shorter-retention', 'empty-table', 'clock'] as const)

const JOB = JOBS.find(({ table }) => table === 'audit_logs')!

/** The program's own job, from its inspection to its result, through its own database interface. */
export async function openJob(
  url: string,
  retentionMs = RETENTION_MS,
  { archive, partitions = false }: Pick<RunContext, 'archive' | 'partitions'> = {},
): Promise<Contender> {
  const clock = hostClock()
  const database = await opened(url)
  return {
    async work(stopping) {
      const batches: Batch[] = []
      const result = await runJob(
        {
          database: recorded(database, batches),
          clock,
          listener: QUIET,
          worker: 'bench',
          version: '0',
          recorded: true,
          countedRuns: COUNTED_RUNS,
          turns: new Turns(),
          archive,
          partitions,
        },
        { job: JOB, retentionMs, graceMs: 0, trigger: 'run-now', slot: undefined, dryRun: false, accepted: EVERYTHING, stopping },
      )
      if (result.outcome !== 'succeeded' && result.outcome !== 'interrupted')
        throw new Error(`the job ended as ${result.outcome}: ${result.reason ?? ''}`, { cause: result.error })
      return { deleted: result.deleted, batches, finished: result.outcome === 'succeeded' }
    },
    close: async () => await database[Symbol.asyncDispose](),
  }
}

/** The same job, with an archive that is removed afterwards. */
export async function openArchivingJob(url: string): Promise<Contender> {
  const directory = await mkdtemp(join(tmpdir(), 'maintenance-bench-archive-'))
  const job = await openKeepingJob(url, { keeps: 'in a folder', directory })
  return {
    work: (stopping) => job.work(stopping),
    async close() {
      await job.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** The same job, with an archive that stays. Of a bucket, what reaches it is loaded with the first request, as in the program. */
export async function openKeepingJob(url: string, keeping: Exclude<Keeping, { keeps: 'by hand' }>): Promise<Contender> {
  const uid = process.getuid?.()
  if (keeping.keeps === 'in a folder')
    return await openJob(url, RETENTION_MS, { archive: { uid, directory: keeping.directory, keptMs: undefined } })
  const { store, spool } = keeping
  Object.assign(process.env, store.env)
  const location = { kind: 's3', bucket: store.bucket, prefix: 'bench' } as const
  const { url: endpoint, region } = store
  const bucket = { ...location, endpoint, region, pathStyle: undefined, insecure: false, spool, spoolChosen: true }
  return await openJob(url, RETENTION_MS, { archive: { uid, directory: locationText(location), bucket, keptMs: undefined } })
}

/** The program's loop and slices with batches of one size, so that the first batches can be compared with the last. */
export async function openSteadyLoop(url: string, { rowsABatch }: Steady): Promise<Contender> {
  const database = await opened(url)
  return {
    async work(stopping) {
      const batches: Batch[] = []
      const watched = recorded(database, batches)
      const cutoff = cutoffOf({ retentionMs: RETENTION_MS, graceMs: 0 }, await watched.now())
      const inspection = await watched.inspect(JOB)
      if (inspection.kind === 'absent') throw new Error(inspection.reason)
      let deleted = 0
      const pacer = {
        rows: rowsABatch,
        async pause() {
          await watched.afterBatch(false)
          await watched.pressure()
        },
        async retry(error: unknown) {
          throw error
        },
      }
      await purge({
        rows: watched.expired(JOB, cutoff),
        dispose: deleteSlice(
          (work) => watched.transaction(work),
          async () => [],
          hostClock(),
        ),
        pacer,
        turns: new Turns(),
        report: (progress) => (deleted = progress.affected),
        stopping,
      })
      return { deleted, batches, finished: !stopping.aborted }
    },
    close: async () => await database[Symbol.asyncDispose](),
  }
}

export function opened(url: string): Promise<Database> {
  return openDatabase({
    url: parseDatabaseUrl(url),
    schema: 'public',
    timeZone: 'UTC',
    connectTimeoutMs: 10 * SECOND,
    access: 'write',
    readUrlAgain: () => undefined,
    random: Math.random,
    applicationName: 'mcp-gateway-maintenance bench',
    clock: hostClock(),
    node: process.execPath,
    user: { uid: process.geteuid?.() },
    listener: SILENT,
    signal: new AbortController().signal,
  })
}

const SILENT: OpenOptions['listener'] = {
  created: () => {},
  warning: () => {},
  note: () => {},
  lost: () => {},
  regained: () => {},
  awaiting: () => {},
}
const QUIET: RunListener = { jobStarted: () => {}, jobWarning: () => {}, jobBatch: () => {}, jobPaused: () => {} }
