import { readSummary } from '../archive/archive-summary.ts'
import { ARCHIVES } from '../archive/tables.ts'
import { JOBS } from '../catalogue.ts'
import type { Database } from '../database/database.ts'
import type { Examining, Limits } from '../database/examining.ts'
import { messageOf } from '../errors.ts'
import { readLedger } from '../migrations/ledger.ts'
import { abandonedLeases } from '../runs/lease.ts'
import { latestFutureRun, LEASES, RUNS } from '../runs/run-records.ts'
import { HOUR, SECOND, type Clock } from '../time/clock.ts'
import { LATE_MS } from '../status/job-status.ts'
import type { Status } from '../status/read-status.ts'
import { tryQuery } from '../status/try-query.ts'
import type { DoctorPlan, Facts, FolderFacts, SchemaInHand } from './doctor-facts.ts'
import { MOST_NEEDED, neededRights } from './needed-rights.ts'
import { diskFacts, folderFacts } from './place-facts.ts'

export const LIMITS: Limits = { oldTransactionMs: HOUR, largeLogBytes: 256 * 2 ** 20, longestLockMs: SECOND }

export interface Reading {
  readonly plan: DoctorPlan
  readonly clock: Clock
  readonly limits: Limits
  readonly signal: AbortSignal
}

export interface Read {
  readonly facts: Facts
  /** What was to be looked at and could not be seen, each a clause with the reason. */
  readonly unseen: readonly string[]
}

/** Reads all facts, one after the other, and changes nothing. Rejects with unexpected errors, and when the database is lost meanwhile. */
export async function readFacts(database: Database, status: Status, reading: Reading): Promise<Read> {
  const { plan, clock, limits, signal } = reading
  const unseen: string[] = []
  const seen = async <T>(what: string, question: () => Promise<T>): Promise<T | undefined> => {
    const { answer, problem } = await tryQuery(question)
    if (problem !== undefined) unseen.push(`${what}: ${problem}`)
    return answer
  }
  const examining = await database.examining()
  const tables = await seen('which tables there are', () => database.tablesAmong([LEASES, RUNS, ARCHIVES]))
  const inTable = async <T>(table: string, what: string, question: (named: string) => Promise<T>): Promise<T | undefined> =>
    tables?.has(table) === true ? await seen(what, () => question(database.named(table))) : undefined
  const archived = JOBS.find((job) => job.archived === true)!
  const condition = await seen('the state of the database', () => examining.condition(limits))
  const thorough = plan.thorough ? await seen('the pages of the database', () => examining.thorough(limits, signal)) : undefined
  const migrates = plan.migrationsEnabled && (status.migrations?.pending.length ?? 0) > 0
  const facts: Facts = {
    plan,
    at: status.at,
    aheadMs: await seen("the database's clock", () => aheadOf(database, clock)),
    schema: await seen('the schema', () => readSchema(database, examining, status, unseen)),
    missingGrants: (await seen('the rights of this login', () => database.missingGrants(neededRights(plan.archive.enabled)))) ?? [],
    hindersMigrating: migrates ? ((await seen('whether this login can migrate', () => examining.hindersMigrating())) ?? []) : [],
    beyond:
      (await seen('what this login may do beyond its jobs', () =>
        examining.rightsBeyond(plan.migrationsEnabled ? undefined : MOST_NEEDED),
      )) ?? [],
    condition,
    abandoned: (await inTable(LEASES, 'who holds leases', (named) => abandonedLeases(database, named, status.at, LATE_MS))) ?? [],
    futureRun: await inTable(RUNS, 'whether a run began later than now', (named) => latestFutureRun(database, named, status.at)),
    archive: {
      folder: await archiveFolder(plan),
      summary: await inTable(ARCHIVES, 'what the archive holds', (named) => readSummary(database, named, archived.table)),
    },
    disks: (await seen('the free disk', () => disksOf(plan, condition?.folder, unseen))) ?? [],
    damage: thorough?.damage ?? [],
  }
  return { facts, unseen: [...unseen, ...(condition?.unseen ?? []), ...(thorough?.unseen === undefined ? [] : [thorough.unseen])] }
}

/** What can be looked at where the database does not answer. */
export async function factsWithout(status: Status, plan: DoctorPlan): Promise<Read> {
  const unseen: string[] = ['all that only the database knows: it cannot be reached']
  return {
    facts: {
      plan,
      at: status.at,
      aheadMs: undefined,
      schema: undefined,
      missingGrants: [],
      hindersMigrating: [],
      beyond: [],
      condition: undefined,
      abandoned: [],
      futureRun: undefined,
      archive: { folder: await archiveFolder(plan), summary: undefined },
      disks: await disksOf(plan, undefined, unseen),
      damage: [],
    },
    unseen,
  }
}

/** The answer took as long to come as the question: the database read its clock in the middle. */
/** A bucket is asked by the status: whether it answers, and has the newest file. */
async function archiveFolder({ archive }: DoctorPlan): Promise<FolderFacts | undefined> {
  return archive.enabled && archive.bucket === undefined ? await folderFacts(archive.directory) : undefined
}

async function aheadOf(database: Database, clock: Clock): Promise<number> {
  const before = clock.monotonicMs()
  const host = clock.now()
  const at = await database.now()
  return at - host - (clock.monotonicMs() - before) / 2
}

async function readSchema(database: Database, examining: Examining, status: Status, unseen: string[]): Promise<SchemaInHand> {
  const { described, accepted } = examining
  const ledger = await tryQuery(() => readLedger(database))
  const applied = new Set((ledger.answer ?? []).map(({ version }) => version))
  const isKnown = ledger.problem === undefined
  if (!isKnown)
    unseen.push(`which migrations were applied, so that what is missing was not told from what is still to come: ${ledger.problem}`)
  const facts = await examining.schema([...new Set(described.map(({ of }) => of))], JOBS)
  const there = new Set(facts.objects.flatMap(({ kind, of }) => (kind === 'table' || kind === 'view' ? [of] : [])))
  return {
    described,
    accepted,
    facts,
    relations: await database.relations(),
    isDue: ({ version, of }) =>
      isKnown ? (version === 0 ? ledger.answer !== undefined : applied.has(version)) : of === '' || there.has(of),
    unfinished: new Set(
      status.partitions.tables.flatMap(({ table, state }) => (state?.kind === 'converting' || state?.kind === 'undoing' ? [table] : [])),
    ),
    isCurrent: isKnown && status.migrations?.pending.length === 0 && applied.size > 0,
  }
}

async function disksOf(plan: DoctorPlan, database: string | undefined, unseen: string[]): ReturnType<typeof diskFacts> {
  const places: (readonly [string, string])[] = [
    ...(plan.archive.enabled ? [['the archive', plan.archive.bucket?.spool ?? plan.archive.directory] as const] : []),
    ...(database === undefined ? [] : [['the database', database] as const]),
  ]
  try {
    return await diskFacts(places)
  } catch (error) {
    unseen.push(`the free disk: ${messageOf(error)}`)
    return []
  }
}
