import { LEASES, RUNS } from '../jobs/history.ts'
import type { RunnerOptions } from '../jobs/run-job.ts'
import type { Program } from '../program.ts'

/** What runs have in common. Once migrations are done: whether the tables are there that runs are recorded in is looked up here, once. */
export async function openRunner(program: Program): Promise<RunnerOptions> {
  const { host, events, database } = program
  const recorded = await hasTables(program)
  if (!recorded)
    events.warning(
      `${RUNS} and ${LEASES} are missing: runs are not recorded, other workers are not kept from the same job, and missed runs are not made up for after a restart`,
    )
  return { database, clock: host.clock, listener: events, worker: host.worker, version: host.version, recorded }
}

async function hasTables({ database }: Program): Promise<boolean> {
  const relations = await database.relations()
  return [RUNS, LEASES].every((table) => relations.get(table)?.kind === 'table')
}
