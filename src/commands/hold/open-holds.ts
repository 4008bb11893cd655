import { JOBS, type Job } from '../../catalogue.ts'
import { nearest } from '../../config/nearest.ts'
import type { Rights } from '../../database/database.ts'
import { MaintenanceError } from '../../errors.ts'
import type { Program } from '../../program.ts'
import type { Spared } from '../../policy/spared.ts'
import { HOLDS } from '../../runs/hold-tables.ts'
import { namingGrants } from '../../runs/hold-rights.ts'
import type { HeldCounting } from '../../runs/hold-counts.ts'
import { mayHaveHolds } from '../../runs/holds-in-force.ts'
import { storedHolds, type StoredHold } from '../../runs/stored-holds.ts'

/** The job whose rows can be held. */
export const HELD_JOB: Job = JOBS.find(({ holdable }) => holdable.by.length > 0)!

/** The holds on record, of a name or all; `undefined`: the database has no table of them. */
export async function recordedHolds(program: Program, rights: Rights, name?: string): Promise<readonly StoredHold[] | undefined> {
  const { database } = program
  if (!(await mayHaveHolds(database, HELD_JOB))) return undefined
  return unlessForbidden(program, rights, () => storedHolds(database, database.named(HOLDS), name))
}

export function withoutTable(): MaintenanceError {
  return new MaintenanceError(
    'MIGRATION_REFUSED',
    `This database has no table ${HOLDS} yet, so it has no hold. Nothing was changed. Migration 007_add_holds makes it. Run: mcp-gateway-maintenance migrate`,
  )
}

export function unlessForbidden<T>({ database }: Program, rights: Rights, work: () => Promise<T>): Promise<T> {
  return namingGrants(database, rights, () => 'Nothing was changed.', work)
}

export function unknownHold(name: string, holds: readonly StoredHold[]): MaintenanceError {
  const near = nearest(name, [...new Set(holds.map((hold) => hold.name))])
  const advice = near === undefined ? 'Run: mcp-gateway-maintenance hold list --all' : `Did you mean ${JSON.stringify(near)}?`
  return new MaintenanceError('USAGE', `There is no hold ${JSON.stringify(name)}. Nothing was changed. ${advice}`)
}

/** Who places or releases a hold: as they say, as the machine says, and as the server says. */
export async function whoAsks({ host, database }: Program, said: string | undefined): Promise<string> {
  const login = await database.login()
  const known = login === undefined ? host.operator : `${host.operator}, role ${login}`
  return database.storable(said === undefined ? known : `${said} (${known})`)
}

export function countingOf({ database, settings }: Program): HeldCounting {
  const job = settings.jobs.find((each) => each.job.name === HELD_JOB.name)
  return { database, job: HELD_JOB, retentionMs: job?.retentionMs, rules: job?.rules ?? [] }
}

/** What the holds that are in force keep, but for one. Those that cannot be understood stop every run, so they need not be counted. */
export function sparedByOthers(holds: readonly StoredHold[], but?: number): readonly Spared[] {
  return holds.flatMap(({ id, job, keeps, released }) =>
    id === but || job !== HELD_JOB.name || released !== undefined || 'problems' in keeps ? [] : [keeps],
  )
}
