import { COUNTED_RUNS } from '../archive/tables.ts'
import type { Settings } from '../config/load.ts'
import { archivePlanOf, type Program } from '../program.ts'
import { Turns } from '../purge/turns.ts'
import { RUN_HOLDS } from '../runs/hold-tables.ts'
import { RUN_POLICIES } from '../runs/policy-tables.ts'
import type { RunContext } from '../runs/run-context.ts'
import { LEASES, RUNS } from '../runs/run-records.ts'
import { RECEIPTS } from '../runs/receipt-tables.ts'
import { withRetry } from '../runs/with-retry.ts'
import { DAY, formatDuration } from '../time/clock.ts'

/** What all runs have in common. Call it after the migrations, because it looks up, once, whether the tables that record runs exist. */
export async function openRunner(program: Program, dryRun = false): Promise<RunContext> {
  const { host, settings, events, database, shutdown } = program
  const tables = await withRetry({ database, clock: host.clock, stopping: shutdown.stopping }, () =>
    database.tablesAmong([RUNS, LEASES, ...COUNTED]),
  )
  const recorded = tables.has(RUNS) && tables.has(LEASES)
  // A dry run leaves no record, and says beforehand which migrations it would apply.
  if (!recorded && !dryRun)
    events.warning(
      `${RUNS} and ${LEASES} are missing: runs are not recorded, other workers are not kept from the same job, and missed runs are not made up for after a restart`,
    )
  const notice = retentionNotice(settings)
  if (notice !== undefined) events.note(notice)
  return {
    database,
    clock: host.clock,
    listener: events,
    worker: host.worker,
    version: host.version,
    recorded,
    countedRuns: COUNTED.filter((table) => tables.has(table)),
    archive: archiveTarget(program),
    turns: new Turns(),
    signer: dryRun || settings.receipts.keyFile === undefined ? undefined : await signerOf(program),
    ruledTables: settings.jobs.filter(({ rules }) => rules.length > 0).map(({ job }) => job.table),
    partitions: settings.partitions.enabled,
    toldOnce: new Set(),
  }
}

/** The tables with a row for each run, named by the run's number. */
const COUNTED = [...COUNTED_RUNS, RUN_HOLDS, RUN_POLICIES, RECEIPTS]

async function signerOf(program: Program): Promise<RunContext['signer']> {
  const { configuredSigner } = await import('./receipts/receipt-book-of.ts')
  return configuredSigner(program)
}

function archiveTarget(program: Program): RunContext['archive'] {
  const plan = archivePlanOf(program)
  return plan.enabled ? plan : undefined
}

/** What several rules ask for, such as PCI DSS 10.5.1, and what most auditors expect. */
const YEAR_MS = 365 * DAY

/** Logged once at the start, for operators who may not know that deleted rows are lost. */
function retentionNotice({ archive, jobs }: Settings): string | undefined {
  const short = jobs.find(
    ({ job, enabled, retentionMs }) => job.archived === true && enabled && retentionMs !== undefined && retentionMs < YEAR_MS,
  )
  if (archive.enabled || short === undefined) return undefined
  return (
    `${short.job.table} older than ${formatDuration(short.retentionMs!)} are deleted for good: archiving is off. Where they must be kept longer ` +
    '(PCI DSS asks for 12 months), set ARCHIVE_ENABLED=true'
  )
}
