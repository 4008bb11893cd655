import { JOBS, type Job } from '../../catalogue.ts'
import type { ConversionOptions, ConversionPlan, Partitions, PartitionState, PartitionTerms } from '../../database/partitioning.ts'
import { MaintenanceError } from '../../errors.ts'
import { pendingMigrations } from '../../migrations/prospect.ts'
import { counted, plural } from '../../number-text.ts'
import type { Program } from '../../program.ts'
import { partitionTerms } from '../../runs/partition-terms.ts'
import { blockedText, doneText, stepText } from '../../terminal/partition-text.ts'

/** The job whose table can be partitioned. */
export const PARTITIONED_JOB: Job = JOBS.find(({ archived }) => archived === true)!

/** Rejects where the engine has no partitions. */
export function partitionsOf({ database }: Program): Partitions {
  const partitions = database.partitions(PARTITIONED_JOB)
  if (partitions === undefined)
    throw new MaintenanceError(
      'PARTITION_REFUSED',
      `A ${database.label.engine} database has no partitions: the expired rows of ${PARTITIONED_JOB.table} go by batches there. Nothing was changed.`,
    )
  return partitions
}

export async function termsOf({ database, settings }: Program): Promise<PartitionTerms> {
  const job = settings.jobs.find((each) => each.job.name === PARTITIONED_JOB.name)
  const exists = (await database.tablesAmong([PARTITIONED_JOB.table])).has(PARTITIONED_JOB.table)
  const kept = { job: PARTITIONED_JOB, retentionMs: job?.retentionMs, rules: exists ? (job?.rules ?? []) : [] }
  return partitionTerms(database, kept, settings.partitions.aheadMs)
}

/** What `start` would do, with what the program knows beside the database: migrations that are pending, and settings. */
export async function fullPlan(
  program: Program,
  partitions: Partitions,
): Promise<{ readonly plan: ConversionPlan; readonly terms: PartitionTerms }> {
  const { database, settings, migrationFiles } = program
  const terms = await termsOf(program)
  const pending = await pendingMigrations({ database, files: migrationFiles })
  const plan = await partitions.plan(terms)
  const reasons = [
    ...(pending.length === 0
      ? []
      : [
          `${counted(pending.length, 'migration')} ${plural(pending.length, 'is', 'are')} pending (${pending.map(({ stem }) => stem).join(', ')}), and they are for a plain table. Run: mcp-gateway-maintenance migrate`,
        ]),
    ...(settings.partitions.enabled
      ? []
      : [
          'PARTITIONS_ENABLED is false, so nobody would make the partitions of the days to come, and their rows would go to the one for all others. Set PARTITIONS_ENABLED=true.',
        ]),
    ...(plan.kind === 'refused' ? plan.reasons : []),
  ]
  return { terms, plan: reasons.length > 0 ? { kind: 'refused', reasons } : plan }
}

/** Prints each step when it begins and when it is done. */
export function conversionOptions({ host, settings, shutdown, events }: Program): ConversionOptions {
  return {
    lock: {
      timeoutMs: settings.migrations.lockTimeoutMs,
      signal: shutdown.stopping,
      waiting: (holder, waitedMs) => events.waiting(holder, waitedMs),
    },
    signal: shutdown.stopping,
    listener: {
      step: (sentence) => host.print(stepText(sentence)),
      done: (tookMs, lockedMs) => host.print(doneText(tookMs, lockedMs)),
      blocked: (by, waitedMs) => host.print(blockedText(by, waitedMs)),
    },
  }
}

/** `undefined`: the connection has been cut meanwhile. */
export async function stateNow(partitions: Partitions): Promise<PartitionState | undefined> {
  try {
    return await partitions.state()
  } catch {
    return undefined
  }
}
