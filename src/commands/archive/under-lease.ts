import { Archive } from '../../archive/archive.ts'
import { NO_RUN } from '../../archive/format.ts'
import { draftsOf } from '../../archive/write/draft-names.ts'
import { MaintenanceError } from '../../errors.ts'
import { archivePlanOf, type Program } from '../../program.ts'
import { HeldLease } from '../../runs/held-lease.ts'
import { claimLease, holderOf, type Lease } from '../../runs/lease.ts'
import { LEASES } from '../../runs/run-records.ts'
import { SECOND } from '../../time/clock.ts'
import type { OpenedArchive } from './open-archive.ts'

export interface Patience {
  /** How long to wait for a run to end, in milliseconds. */
  readonly waitMs: number
  /** Called once, before the wait, with who holds the lease. */
  readonly waiting?: (holder: string) => void
}

/** Holds the job's lease, so that neither a run nor another command works on the archive meanwhile. Rejects if somebody else does. */
export async function underLease<T>(
  program: Program,
  { job: { name: job } }: OpenedArchive,
  { waitMs, waiting }: Patience,
  work: (held: HeldLease) => Promise<T>,
): Promise<T> {
  const { host, database, shutdown } = program
  const { clock } = host
  const leases = database.named(LEASES)
  const claimed = (): Promise<Lease | undefined> =>
    database.transaction((tx) => claimLease(tx, leases, { job, holder: host.worker, knowsHolds: true, again: false }))
  const until = clock.monotonicMs() + waitMs
  let lease = await claimed()
  for (let isTold = false; lease === undefined;) {
    const holder = (await holderOf(database, leases, job, await database.now())) ?? 'another worker'
    shutdown.stopping.throwIfAborted()
    if (clock.monotonicMs() >= until)
      throw new MaintenanceError(
        'ARCHIVE_FAILED',
        `the archive: ${holder} is working on it. Nothing was changed. Try again when it has finished`,
      )
    if (!isTold) waiting?.(holder)
    isTold = true
    await clock.sleep(SECOND, shutdown.stopping)
    lease = await claimed()
  }
  const held = new HeldLease({ database, clock, leases, lease })
  try {
    return await work(held)
  } finally {
    await held.end()
    await database.transaction((tx) => held.release(tx)).catch(() => undefined)
  }
}

/** The archive for work that is no run. `held`: absent, nothing is changed. */
export async function archiveOf(program: Program, { job }: OpenedArchive, held: HeldLease | undefined): Promise<Archive> {
  const { host, database, shutdown } = program
  const now = await database.now()
  return new Archive({
    database,
    place: archivePlanOf(program),
    drafts: await draftsOf(database),
    table: job.table,
    timeColumn: job.column,
    run: NO_RUN,
    program: host.version,
    now,
    cutoff: now,
    retentionMs: 0,
    underLease: (work) => (held ?? database).transaction(work),
    stopping: shutdown.stopping,
  })
}
