import type { Database } from '../database/database.ts'
import { PARTITIONED, type PartitionState } from '../database/partitioning.ts'
import { boundedText, storedText } from '../database/stored-values.ts'
import type { JobPlan } from './job-status.ts'
import { tryQuery } from './try-query.ts'

/** The tables that the worker has turned into partitions, or is about to. */
export interface PartitionsStatus {
  /** As it is set: whether partitions are made and dropped. */
  readonly enabled: boolean
  /** Those of our record; of a plain table nothing is said. */
  readonly tables: readonly TablePartitions[]
  /** Why the record cannot be read. */
  readonly problem: string | undefined
}

export interface TablePartitions {
  readonly table: string
  /** The job that deletes its rows. */
  readonly job: string
  /** `undefined`: it cannot be read. */
  readonly state: PartitionState | undefined
  /** Why it cannot. */
  readonly problem: string | undefined
}

/**
 * Where nothing was ever turned into partitions, this is one query on PostgreSQL and none on SQLite. A table that somebody else has made partitions of is not
 * in the record; what follows from that is told by its job.
 */
export async function readPartitions(
  database: Database,
  jobs: readonly JobPlan[],
  { enabled, recorded }: { readonly enabled: boolean; /** Whether the database has our record. */ readonly recorded: boolean },
): Promise<PartitionsStatus> {
  const partitionable = recorded ? jobs.filter(({ job }) => database.partitions(job) !== undefined) : []
  if (partitionable.length === 0) return partitionsWithout(enabled)
  const record = await tryQuery(() =>
    recordedTables(
      database,
      partitionable.map(({ job }) => job.table),
    ),
  )
  const tables: TablePartitions[] = []
  for (const { job } of partitionable) {
    const partitions = record.answer?.has(job.table) === true ? database.partitions(job) : undefined
    if (partitions === undefined) continue
    const { answer: state, problem } = await tryQuery(() => partitions.state())
    tables.push({ table: job.table, job: job.name, state, problem })
  }
  return { enabled, tables, problem: record.problem }
}

/** Where there is no database to ask. */
export function partitionsWithout(enabled: boolean): PartitionsStatus {
  return { enabled, tables: [], problem: undefined }
}

async function recordedTables(database: Database, tables: readonly string[]): Promise<ReadonlySet<string>> {
  const { rows } = await database.query<{ name: unknown }>(
    `SELECT ${boundedText('table_name')} AS name FROM ${database.named(PARTITIONED)} WHERE table_name IN (${tables.map((_, at) => `$${at + 1}`).join(', ')})`,
    tables,
  )
  return new Set(rows.map(({ name }) => storedText(name, `${PARTITIONED}.table_name`)))
}
